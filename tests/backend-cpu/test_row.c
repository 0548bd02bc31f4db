/* The functions along a row against the scalar text, bit for bit, for every instruction set of this machine:
 * where they leave operations out, that may not show. */
#include "tests/support/test.h"

#include "backend-cpu/cpu.h"
#include "shaders/scalar/scalar.h"

#define DECLARE(isa)                                                                                        \
    void kernel_row_exponentials_##isa(float *e, const float *x, float m, int64_t n);                       \
    void kernel_row_pull_back_##isa(float *p, float *t, const float *m, const float *z, const float *delta, \
                                    int64_t n);                                                             \
    float kernel_row_exponentials_sum_##isa(float *e, const float *x, float m, int64_t n);                  \
    void kernel_row_sigmoids_##isa(float *y, const float *x, int64_t n);                                    \
    void kernel_row_tanhs_##isa(float *y, const float *x, int64_t n);
#define ISA(name, numerics, available) DECLARE(name)
#include "backend-cpu/isa.def"
#undef ISA

struct row_functions {
    enum cpu_isa isa;
    void (*exponentials)(float *e, const float *x, float m, int64_t n);
    void (*pull_back)(float *p, float *t, const float *m, const float *z, const float *delta, int64_t n);
    float (*exponentials_sum)(float *e, const float *x, float m, int64_t n);
    void (*sigmoids)(float *y, const float *x, int64_t n);
    void (*tanhs)(float *y, const float *x, int64_t n);
};

#define FUNCTIONS(isa)                                                                            \
    kernel_row_exponentials_##isa, kernel_row_pull_back_##isa, kernel_row_exponentials_sum_##isa, \
        kernel_row_sigmoids_##isa, kernel_row_tanhs_##isa

static const struct row_functions sets[] = {
#define ISA(name, numerics, available) {CPU_ISA_##name, FUNCTIONS(name)},
#include "backend-cpu/isa.def"
#undef ISA
};

enum { LENGTH = 1000, SETS = sizeof sets / sizeof *sets };

/* Patterns `step` apart; a prime step meets all low bits. */
static uint fill(float *x, uint first, uint step)
{
    for (uint i = 0; i < LENGTH; i++)
        x[i] = gm_float(first + i * step);
    return first + LENGTH * step;
}

static void exponentials_of_what_is_not_above_zero_are_those_of_the_text(void **state)
{
    (void)state;
    static float x[LENGTH], e[LENGTH], expected[LENGTH];
    for (size_t s = 0; s < SETS; s++) {
        if (!cpu_isa_is_available(sets[s].isa, NUMERICS_GOLDEN))
            continue;
        /* From -2^-60 to -inf, and -35.35, where results end, one by one. */
        for (uint u = 0xa1800000u; u <= 0xff800000u - LENGTH * 40009u;) {
            bool near = u < 0xc20d6800u && u > 0xc20d6400u;
            u = fill(x, u, near || (u < 0xc20d6400u && u + LENGTH * 997u > 0xc20d6400u) ? 1 : 997u);
            sets[s].exponentials(e, x, 0, LENGTH);
            for (uint i = 0; i < LENGTH; i++)
                expected[i] = gm_exp(x[i]);
            assert_memory_equal(e, expected, sizeof e);
        }
    }
}

static void special_arguments_have_their_exponentials(void **state)
{
    (void)state;
    static const uint special[] = {0, 0xff800000u, 0x7fc00000u, 0xffc00001u, 0x7f800001u, 0xff7fffffu};
    for (size_t s = 0; s < SETS; s++)
        for (uint i = 0;
             i < sizeof special / sizeof *special && cpu_isa_is_available(sets[s].isa, NUMERICS_GOLDEN);
             i++) {
            float x = gm_float(special[i]), e;
            sets[s].exponentials(&e, &x, 0, 1);
            if (gm_is_nan(x))
                assert_true(gm_is_nan(e));
            else
                assert_int_equal(gm_bits(e), gm_bits(gm_exp(x)));
        }
}

/* R_i of docs/numerics.md, written down again. */
static float row_order(const float *x, int64_t n)
{
    float lane[64] = {0};
    for (int64_t i = 0; i < n; i++)
        lane[i % 64] += x[i];
    for (int h = 32; h > 0; h /= 2)
        for (int l = 0; l < h; l++)
            lane[l] += lane[l + h];
    return lane[0];
}

static void sums_of_exponentials_follow_the_order_of_rows(void **state)
{
    (void)state;
    static float x[300], e[300], expected[300];
    for (uint i = 0; i < 300; i++)
        x[i] = -(float)(gm_philox((struct gm_words){i, 3, 0, 0}, 1, 2).x >> 8) * 0x1p-20f;
    for (size_t s = 0; s < SETS; s++)
        for (int64_t n = 1; n <= 300 && cpu_isa_is_available(sets[s].isa, NUMERICS_GOLDEN); n++) {
            for (int64_t i = 0; i < 300; i++)
                expected[i] = i < n ? gm_exp(x[i] - 0.25f) : 7;
            for (int64_t i = 0; i < 300; i++)
                e[i] = 7;
            float sum = sets[s].exponentials_sum(e, x, 0.25f, n);
            assert_memory_equal(e, expected, sizeof e); /* and nothing behind the row */
            assert_int_equal(gm_bits(sum), gm_bits(row_order(expected, n)));
        }
}

static void weights_are_pulled_back_as_the_ops_say(void **state)
{
    (void)state;
    enum { N = 300 };
    static float random[5][N], p[N], t[N];
    for (uint k = 0; k < 5; k++)
        for (uint i = 0; i < N; i++)
            random[k][i] = (float)(gm_philox((struct gm_words){i, k, 0, 0}, 1, 2).x >> 8) * 0x1p-22f - 2;
    for (size_t s = 0; s < SETS; s++)
        for (int64_t n = 1; n <= N && cpu_isa_is_available(sets[s].isa, NUMERICS_GOLDEN); n++) {
            for (int64_t i = 0; i < N; i++)
                p[i] = random[0][i] - 3, t[i] = random[1][i];
            sets[s].pull_back(p, t, random[2], random[3], random[4], n);
            for (int64_t i = 0; i < N; i++) {
                float weight = gm_flush(gm_exp((random[0][i] - 3) - random[2][i]) * random[3][i]);
                float pulled = gm_flush(weight * gm_flush(random[1][i] - random[4][i]));
                assert_int_equal(gm_bits(p[i]), gm_bits(i < n ? weight : random[0][i] - 3));
                assert_int_equal(gm_bits(t[i]), gm_bits(i < n ? pulled : random[1][i]));
            }
        }
}

static void sigmoids_and_tangents_are_those_of_the_text(void **state)
{
    (void)state;
    static float x[LENGTH], y[LENGTH], z[LENGTH];
    for (size_t s = 0; s < SETS; s++) {
        if (!cpu_isa_is_available(sets[s].isa, NUMERICS_GOLDEN))
            continue;
        for (uint sign = 0; sign < 2; sign++)
            for (uint u = 0; u < 0x7f800000u - LENGTH * 40009u;) {
                uint next = fill(x, u | sign << 31, 40009u);
                u = next & GM_ABS;
                sets[s].sigmoids(y, x, LENGTH);
                sets[s].tanhs(z, x, LENGTH);
                for (uint i = 0; i < LENGTH; i++) {
                    assert_int_equal(gm_bits(y[i]), gm_bits(gm_sigmoid(x[i])));
                    assert_int_equal(gm_bits(z[i]), gm_bits(gm_flush(gm_tanh(x[i]))));
                }
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponentials_of_what_is_not_above_zero_are_those_of_the_text),
        cmocka_unit_test(special_arguments_have_their_exponentials),
        cmocka_unit_test(sums_of_exponentials_follow_the_order_of_rows),
        cmocka_unit_test(weights_are_pulled_back_as_the_ops_say),
        cmocka_unit_test(sigmoids_and_tangents_are_those_of_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
