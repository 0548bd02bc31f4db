/* Forms recovered from frequencies that transformers 5.23 computed (torch 2.15), and refusals. */
#include "emit/rotary_form.h"
#include "tests/support/test.h"
#include <math.h>

static struct trace trace;

static struct tensor_view view_of(const float *w, int64_t count)
{
    return (struct tensor_view){.base = (const uint8_t *)(uintptr_t)w,
                                .base_size = (size_t)count * sizeof *w,
                                .rank = 1,
                                .dims = {count},
                                .strides = {1}};
}

static void finds_what_transformers_computes(void **state)
{
    (void)state;
    static const struct {
        float w[8];
        struct rotary_form form;
    } cases[] = {
        {{0x1.0000000000000p+0f, 0x1.43d1360000000p-2f, 0x1.99999a0000000p-4f, 0x1.030dc60000000p-5f,
          0x1.47ae140000000p-7f, 0x1.9e7c700000000p-9f, 0x1.0624de0000000p-10f, 0x1.4b96c00000000p-12f},
         {10000, SCALING_NONE, 0, 0}},
        {{0x1.5555560000000p-2f, 0x1.afc19e0000000p-4f, 0x1.1111120000000p-5f, 0x1.5967b20000000p-7f,
          0x1.b4e81a0000000p-9f, 0x1.1452f60000000p-10f, 0x1.5d867e0000000p-12f, 0x1.ba1e560000000p-14f},
         {10000, SCALING_LINEAR, 3, 0}},
        {{0x1.0000000000000p+0f, 0x1.8d27600000000p-3f, 0x1.c0019c0000000p-6f, 0x1.ddee9e0000000p-11f,
          0x1.72ba420000000p-13f, 0x1.1f91f00000000p-15f, 0x1.be21880000000p-18f, 0x1.5a0f4e0000000p-20f},
         {500000, SCALING_LLAMA3, 8, 512}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rotary_form found;
        struct tensor_view view = view_of(cases[i].w, 8);
        assert_ok(rotary_form_find(&found, &view, &trace), &trace);
        assert_true(found.base == cases[i].form.base && found.scaling == cases[i].form.scaling);
        assert_true(found.scaling == SCALING_NONE || found.factor == cases[i].form.factor);
        assert_int_equal(found.context, cases[i].form.context);
    }
}

/* The scalings of Llama 3.1 8B and Llama 3.2 1B, by the formula in double precision. */
static void finds_those_of_published_models(void **state)
{
    (void)state;
    static const struct {
        int64_t count;
        double factor;
    } cases[] = {{64, 8}, {32, 32}};
    for (size_t c = 0; c < 2; c++) {
        float w[64];
        for (int64_t i = 0; i < cases[c].count; i++) {
            double plain = pow(500000, -(double)i / (double)cases[c].count), length = 2 * acos(-1) / plain;
            double blend = (8192 / length - 1) / 3;
            w[i] = (float)(length < 2048   ? plain
                           : length > 8192 ? plain / cases[c].factor
                                           : (1 - blend) * plain / cases[c].factor + blend * plain);
        }
        struct rotary_form found;
        struct tensor_view view = view_of(w, cases[c].count);
        assert_ok(rotary_form_find(&found, &view, &trace), &trace);
        assert_true(found.base == 500000 && found.scaling == SCALING_LLAMA3);
        assert_true((double)found.factor == cases[c].factor);
        assert_int_equal(found.context, 8192);
        w[cases[c].count / 2] *= 1.001f;
        assert_fails(rotary_form_find(&found, &view, &trace), UNSUPPORTED, &trace, "rope_scaling");
    }
}

static void refuses_a_choice_of_frequencies(void **state)
{
    (void)state;
    static const float w[4] = {1, 0.1f, 0.02f, 0.001f};
    struct rotary_form found;
    struct tensor_view view = view_of(w, 4);
    assert_fails(rotary_form_find(&found, &view, &trace), UNSUPPORTED, &trace, "no powers of one base");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_transformers_computes),
        cmocka_unit_test(finds_those_of_published_models),
        cmocka_unit_test(refuses_a_choice_of_frequencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
