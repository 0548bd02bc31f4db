/* data/targets.c: what is kept comes back, and bytes that cannot be what was kept are refused. */
#include "data/targets.h"
#include "tests/support/test.h"
#include <math.h>

static uint32_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static struct targets make_targets(const struct targets_form *form)
{
    struct targets made;
    uint64_t state = form->vocabulary;
    uint32_t stride = form->vocabulary / form->kept;
    targets_init(&made, form->tokens, form->kept);
    for (uint32_t i = 0; i < form->tokens; i++) {
        for (uint32_t j = 0; j < form->kept; j++) {
            made.ids[i * form->kept + j] = (int32_t)(j * stride + draw(&state) % stride);
            made.logs[i * form->kept + j] = -(float)draw(&state) * 0x1p-29f;
        }
        made.rest[i] = i % 3 == 0 ? -128 : -(float)draw(&state) * 0x1p-28f;
    }
    return made;
}

/* Distance of the closest number with 11 significant bits. */
static double half_step(double x)
{
    int exponent;
    frexp(x, &exponent);
    return ldexp(1, (exponent < -13 ? -13 : exponent) - 12);
}

static void gives_back_what_was_kept(void **state)
{
    (void)state;
    static const uint32_t vocabularies[] = {5, 256, 257, 65536, 65537, 1 << 24, (1 << 24) + 1};
    for (size_t v = 0; v < sizeof vocabularies / sizeof *vocabularies; v++)
        for (enum targets_type type = TARGETS_F32; type <= TARGETS_F16; type++) {
            struct trace trace = {0};
            struct targets_form form = {.tokens = 7, .kept = 5, .vocabulary = vocabularies[v], .type = type};
            struct targets made = make_targets(&form), back;
            uint8_t *bytes = malloc(targets_size(&form));
            targets_encode(bytes, &form, &made);
            targets_init(&back, 3 + form.tokens, form.kept);
            assert_ok(targets_decode(&back, 3, &form, bytes, &trace), &trace);
            assert_memory_equal(back.ids + 3 * 5, made.ids, 7 * 5 * sizeof *made.ids);
            for (int i = 0; i < 7 * 5; i++)
                assert_true(fabs((double)back.logs[3 * 5 + i] - (double)made.logs[i]) <=
                            (type == TARGETS_F16 ? half_step((double)made.logs[i]) : 0));
            for (int i = 0; i < 7; i++)
                assert_true(fabs((double)back.rest[3 + i] - (double)made.rest[i]) <=
                            (type == TARGETS_F16 ? half_step((double)made.rest[i]) : 0));
            free(bytes);
            targets_release(&made);
            targets_release(&back);
        }
}

/* Written down by hand: two tokens of two each, ids of one byte. */
static void has_planes_of_bytes(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        3,    2,    0,    9,    /* ids 3, 5; 0, 9: first and gap */
        0,    0,    0,    0,    /* f16 -1 = 0xbc00, -2 = 0xc000, -0.5 = 0xb800, -4 = 0xc400, low bytes */
        0xbc, 0xc0, 0xb8, 0xc4, /* high bytes */
        0,    0,    0xd8, 0xb4, /* rest: -128 = 0xd800, -0.25 = 0xb400 */
    };
    int32_t ids[] = {3, 5, 0, 9};
    float logs[] = {-1, -2, -0.5f, -4}, rest[] = {-128, -0.25f};
    struct targets_form form = {.tokens = 2, .kept = 2, .vocabulary = 256, .type = TARGETS_F16};
    struct targets targets = {.tokens = 2, .kept = 2, .ids = ids, .logs = logs, .rest = rest};
    uint8_t bytes[sizeof expected];
    assert_int_equal(targets_size(&form), sizeof expected);
    targets_encode(bytes, &form, &targets);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void refuses_what_cannot_have_been_kept(void **state)
{
    (void)state;
    struct targets_form form = {.tokens = 2, .kept = 2, .vocabulary = 9, .type = TARGETS_F32};
    struct targets made = make_targets(&form), back;
    struct trace trace = {0};
    uint8_t bytes[64];
    targets_init(&back, 2, 2);
    targets_encode(bytes, &form, &made);
    assert_ok(targets_decode(&back, 0, &form, bytes, &trace), &trace);
    bytes[1] = 0; /* the second id is the first */
    assert_fails(targets_decode(&back, 0, &form, bytes, &trace), CORRUPT, &trace, "do not ascend below 9");
    bytes[1] = 9; /* beyond the vocabulary */
    assert_fails(targets_decode(&back, 0, &form, bytes, &trace), CORRUPT, &trace, "do not ascend below 9");
    static const float bad[] = {0.5f, NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 4; i++) {
        made.logs[3] = bad[i];
        targets_encode(bytes, &form, &made);
        assert_fails(targets_decode(&back, 0, &form, bytes, &trace), CORRUPT, &trace,
                     "is no logarithm of a probability");
    }
    targets_release(&made);
    targets_release(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_kept),
        cmocka_unit_test(has_planes_of_bytes),
        cmocka_unit_test(refuses_what_cannot_have_been_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
