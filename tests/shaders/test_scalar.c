/* The scalar mathematics against independent references: libm in double, the processor's own correctly
 * rounded division, root and conversions; and its promise about subnormals, by the processor's own flags. */
#include "tests/support/test.h"

#include "shaders/selftest_scalar.h"
#include <math.h>
#include <xmmintrin.h>
#include <xxhash.h>

enum {
    FLAG_DENORMAL = 0x0002, /* MXCSR: an operand was subnormal */
    FLAG_UNDERFLOW = 0x0010,
    FLUSH_BOTH = 0x8040, /* flush-to-zero and denormals-are-zero */
};

/* The error of `got` in units of the last place of a float near `want`; results that both count as 0 have
 * none. */
static double ulp_error(float got, double want)
{
    if (isnan(want))
        return isnan(got) ? 0 : INFINITY;
    if (fabs(want) >= 0x1.ffffffp127)
        return (double)got == (want > 0 ? INFINITY : -INFINITY) ? 0 : INFINITY;
    int exponent;
    frexp(want, &exponent);
    if (exponent < -125)
        exponent = -125;
    return fabs((double)got - want) / ldexp(1, exponent - 24);
}

static double reference_rsqrt(double x)
{
    return 1 / sqrt(x);
}

/* Ours is +0 where e^x < 2^-51. */
static double reference_exp(double x)
{
    return exp(x) < 0x1p-51 ? 0 : exp(x);
}

static double reference_sigmoid(double x)
{
    return exp(x) < 0x1p-51 ? 0 : 1 / (1 + exp(-x));
}

static double reference_silu(double x)
{
    return x * reference_sigmoid(x);
}

enum signs { POSITIVE, BOTH_SIGNS };

/* One function, a range of |x| given by bit patterns, every step-th pattern, and the largest error allowed.
 */
struct accuracy {
    const char *name;
    float (*function)(float);
    double (*reference)(double);
    uint from, to, step;
    enum signs signs;
    double limit;
};

// clang-format off
static const struct accuracy accuracies[] = {
    {"exp, |x| < 88",        gm_exp,     reference_exp,     0x26000000u, 0x42b17217u,   97, BOTH_SIGNS, 1.00},
    {"exp, 1/8 to 8",        gm_exp,     reference_exp,     0x3e000000u, 0x41000000u,   31, BOTH_SIGNS, 1.00},
    {"log, 0.5 to 2",        gm_log,     log,               0x3f000000u, 0x3fffffffu,   11, POSITIVE,   0.90},
    {"log, all",             gm_log,     log,               0x00800000u, 0x7f7fffffu, 1009, POSITIVE,   0.90},
    {"rsqrt, 1 to 4",        gm_rsqrt,   reference_rsqrt,   0x3f800000u, 0x407fffffu,   11, POSITIVE,   1.25},
    {"rsqrt, all",           gm_rsqrt,   reference_rsqrt,   0x00800000u, 0x7f7fffffu, 1009, POSITIVE,   1.25},
    {"sin, |x| < 8",         gm_sin,     sin,               0x26000000u, 0x41000000u,  331, BOTH_SIGNS, 1.00},
    {"sin, 8 to 2^31",       gm_sin,     sin,               0x41000000u, 0x4effffffu,  331, BOTH_SIGNS, 1.00},
    {"cos, |x| < 8",         gm_cos,     cos,               0x26000000u, 0x41000000u,  331, BOTH_SIGNS, 1.00},
    {"cos, 8 to 2^31",       gm_cos,     cos,               0x41000000u, 0x4effffffu,  331, BOTH_SIGNS, 1.00},
    {"tanh",                 gm_tanh,    tanh,              0x26000000u, 0x41200000u,  331, BOTH_SIGNS, 1.50},
    {"tanh, 0.5 to 1",       gm_tanh,    tanh,              0x3f000000u, 0x3f800000u,   31, BOTH_SIGNS, 1.50},
    {"erf",                  gm_erf,     erf,               0x26000000u, 0x40a00000u,  331, BOTH_SIGNS, 1.50},
    {"erf, 0.5 to 2",        gm_erf,     erf,               0x3f000000u, 0x40000000u,   31, BOTH_SIGNS, 1.50},
    {"sigmoid",              gm_sigmoid, reference_sigmoid, 0x26000000u, 0x42b00000u,  331, BOTH_SIGNS, 2.50},
    {"silu",                 gm_silu,    reference_silu,    0x33000000u, 0x42b00000u,  331, BOTH_SIGNS, 3.00},
};
// clang-format on

static void functions_stay_within_their_ulps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accuracies / sizeof *accuracies; i++) {
        const struct accuracy *row = &accuracies[i];
        double worst = 0;
        float at = 0;
        unsigned long count = 0;
        for (uint sign = 0; sign <= (row->signs == BOTH_SIGNS ? GM_SIGN : 0); sign += GM_SIGN) {
            for (uint u = row->from; u <= row->to; u += row->step, count++) {
                float x = gm_float(u | sign);
                double error = ulp_error(row->function(x), row->reference((double)x));
                if (error > worst) {
                    worst = error;
                    at = x;
                }
            }
            if (sign)
                break;
        }
        printf("%-16s %9lu arguments, at most %.3f ULP at %.9g\n", row->name, count, worst, (double)at);
        if (worst > row->limit)
            fail_msg("%s: %.3f ULP at %.9g, expected at most %.2f", row->name, worst, (double)at, row->limit);
    }
}

/* The word that a test uses as its i-th random number. */
static uint random_word(uint stream, uint i)
{
    return gm_philox((struct gm_words){i, stream, 0, 0}, 1, 2).x;
}

/* What the processor gives, with results below 2^-126 as +0 and our NaN. */
static uint processor_bits(float y)
{
    uint u = gm_bits(y);
    if ((u & GM_ABS) > GM_INF)
        return GM_NAN;
    return (u & GM_ABS) < GM_NORMAL ? 0 : u;
}

static void assert_same_quotient(float a, float b)
{
    float quotient = a / b;
    if (gm_bits(gm_div(a, b)) == processor_bits(quotient))
        return;
    /* A quotient just below 2^-126 is rounded up by the processor's gradual underflow; ours was 0 already. */
    if (fabsf(quotient) == 0x1p-126f && gm_bits(gm_div(a, b)) == 0)
        return;
    fail_msg("%a / %a: %a instead of %a", (double)a, (double)b, (double)gm_div(a, b), (double)quotient);
}

static void division_is_correctly_rounded(void **state)
{
    (void)state;
    for (uint i = 0; i < 1000000; i++) {
        uint a = random_word(1, i), b = random_word(2, i);
        if ((a & GM_ABS) < GM_NORMAL || (b & GM_ABS) < GM_NORMAL)
            continue;
        assert_same_quotient(gm_float(a), gm_float(b));
        assert_same_quotient(gm_float((a & 0x807fffffu) | GM_ONE), gm_float((b & 0x807fffffu) | GM_ONE));
        assert_same_quotient(gm_float((a & 0x8000000fu) | GM_ONE), gm_float((b & 0x800000ffu) | GM_ONE));
        assert_same_quotient(gm_float((a & 0x8000001fu) | GM_ONE), gm_float(b | 0x007fffe0u));
    }
    for (uint u = 0x3f800000u; u < 0x40000000u; u += 7) {
        assert_same_quotient(1.0f, gm_float(u));
        assert_same_quotient(gm_float(0x7f7fffffu), gm_float(u));
        assert_int_equal(gm_bits(gm_rcp(gm_float(u))), gm_bits(1.0f / gm_float(u)));
        assert_int_equal(gm_bits(gm_rcp(gm_float(u))), gm_bits(gm_rcp_normal(gm_float(u))));
    }
    /* The quotients of sigmoid and tanh: 1 / (1 + e), e / (1 + e), 2 / (1 + e). */
    for (uint u = 0x26000000u; u <= GM_ONE; u += 101) {
        float e = gm_float(u), sum = 1 + e;
        assert_int_equal(gm_bits(gm_div(e, sum)), gm_bits(gm_div_normal(e, sum)));
        assert_int_equal(gm_bits(gm_rcp(sum)), gm_bits(gm_rcp_normal(sum)));
        assert_int_equal(gm_bits(gm_div(2, 1 + 1 / e)), gm_bits(gm_div_normal(2, 1 + 1 / e)));
    }
}

static void square_root_is_correctly_rounded(void **state)
{
    (void)state;
    for (uint u = 0x3f800000u; u < 0x40800000u; u += 5)
        assert_int_equal(gm_bits(gm_sqrt(gm_float(u))), gm_bits(sqrtf(gm_float(u))));
    for (uint u = GM_NORMAL; u < GM_INF; u += 1009)
        assert_int_equal(gm_bits(gm_sqrt(gm_float(u))), gm_bits(sqrtf(gm_float(u))));
    for (uint n = 1; n < 4096; n++) /* neighbours of exact squares */
        for (uint d = 0; d < 3; d++) {
            float x = gm_float(gm_bits((float)(n * n)) + d - 1);
            assert_int_equal(gm_bits(gm_sqrt(x)), gm_bits(sqrtf(x)));
        }
}

static void rotary_angles_are_right_to_1e_7(void **state)
{
    (void)state;
    double worst = 0;
    for (uint i = 0; i < 1000000; i++) {
        uint u = random_word(3, i);
        float x = i & 1 ? (float)(u & 0xffff) * gm_uniform(u) : 65536 * gm_uniform(u);
        worst = fmax(worst, fabs((double)gm_sin(x) - sin((double)x)));
        worst = fmax(worst, fabs((double)gm_cos(x) - cos((double)x)));
    }
    for (uint k = 1; k < 1u << 20; k++) { /* as near to multiples of pi/2 as a float can be */
        float x = (float)(k * 1.57079632679489661923);
        double error = fmax(ulp_error(gm_sin(x), sin((double)x)), ulp_error(gm_cos(x), cos((double)x)));
        if (error > 1)
            fail_msg("%.9g: %.3f ULP", (double)x, error);
    }
    printf("sin and cos, |x| < 65536: at most %.3g\n", worst);
    assert_true(worst < 6.1e-8);
}

static void powers_build_rotary_frequencies(void **state)
{
    (void)state;
    static const float bases[] = {100, 1e4f, 1e5f, 5e5f, 1e6f, 1e7f};
    double worst = 0;
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++)
        for (uint dimension = 2; dimension <= 512; dimension += 2)
            for (uint i = 0; 2 * i < dimension; i++) {
                float y = gm_div(-gm_from_uint(2 * i), gm_from_uint(dimension));
                worst = fmax(worst, ulp_error(gm_pow(bases[b], y), pow((double)bases[b], (double)y)));
            }
    printf("pow, rotary: at most %.3f ULP\n", worst);
    assert_true(worst < 1.3);
}

static void other_powers_are_as_good(void **state)
{
    (void)state;
    double worst = 0;
    for (uint i = 0; i < 1000000; i++) {
        float x = gm_float((random_word(4, i) & GM_FRACTION) | ((96 + random_word(5, i) % 64) << 23));
        float y = gm_float((random_word(6, i) & 0x807fffffu) | ((112 + random_word(7, i) % 22) << 23));
        double want = pow((double)x, (double)y);
        double error = want < 0x1p-51 ? (want < 0x0.fffffp-51 ? (double)gm_pow(x, y) : 0)
                                      : ulp_error(gm_pow(x, y), want);
        worst = fmax(worst, error);
    }
    printf("pow, all: at most %.3f ULP\n", worst);
    assert_true(worst < 1.5);
}

static void integer_powers_stay_within_1_ulp(void **state)
{
    (void)state;
    static const float bases[] = {0.9f, 0.95f, 0.98f, 0.99f, 0.999f, 0.9999f, 1.0001f, 2, 3, 10, -1.5f, 0.5f};
    double worst = 0;
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++)
        for (uint n = 0; n < 1u << 20; n += 1 + n / 64) {
            long double want = powl(bases[b], n);
            if (fabsl(want) < 0x1p-126l)
                assert_true(fabsf(gm_pow_int(bases[b], n)) <= 0x1p-126f);
            else
                worst = fmax(worst, ulp_error(gm_pow_int(bases[b], n), (double)want));
        }
    printf("pow_int: at most %.3f ULP\n", worst);
    assert_true(worst < 1);
}

static void assert_bits(float got, uint want)
{
    if (gm_bits(got) != want)
        fail_msg("%08x instead of %08x", gm_bits(got), want);
}

static void flush_gives_the_canonical_number(void **state)
{
    (void)state;
    const float inf = INFINITY, nan = gm_float(0xffc12345u), max = gm_float(0x7f7fffffu);
    const float tiny = 0x1p-51f, below = gm_float(0x25ffffffu);
    assert_bits(gm_flush(-0.0f), 0);
    assert_bits(gm_flush(below), 0);
    assert_bits(gm_flush(-below), 0);
    assert_bits(gm_flush(-tiny), 0xa6000000u);
    assert_bits(gm_flush(nan), GM_NAN);
    assert_bits(gm_flush(-inf), 0xff800000u);
    assert_bits(gm_flush_square(0x1p-120f), 0x03800000u);
    assert_bits(gm_flush_square(0x1.fffffep-121f), 0);
    assert_true(gm_is_finite(max) && !gm_is_finite(-inf) && !gm_is_finite(nan) && gm_is_nan(nan) &&
                !gm_is_nan(inf));
    assert_bits(gm_max(1, 2), gm_bits(2));
    assert_bits(gm_min(1, 2), gm_bits(1));
}

static void special_values_of_functions(void **state)
{
    (void)state;
    const float inf = INFINITY, nan = gm_float(0xffc12345u), max = gm_float(0x7f7fffffu), tiny = 0x1p-51f;
    assert_bits(gm_exp(0), GM_ONE);
    assert_bits(gm_exp(-inf), 0);
    assert_bits(gm_exp(-max), 0);
    assert_bits(gm_exp(inf), GM_INF);
    assert_bits(gm_exp(max), GM_INF);
    assert_bits(gm_exp(nan), GM_NAN);
    assert_bits(gm_exp(-36), 0);
    assert_true(gm_exp(-35.3505f) >= tiny);
    assert_bits(gm_log(1), 0);
    assert_bits(gm_log(0), 0xff800000u);
    assert_bits(gm_log(inf), GM_INF);
    assert_bits(gm_log(-1), GM_NAN);
    assert_bits(gm_log(nan), GM_NAN);

    assert_bits(gm_sqrt(0), 0);
    assert_bits(gm_sqrt(-0.0f), 0);
    assert_bits(gm_sqrt(inf), GM_INF);
    assert_bits(gm_sqrt(-1), GM_NAN);
    assert_bits(gm_sqrt(nan), GM_NAN);
    assert_bits(gm_rsqrt(0), GM_INF);
    assert_bits(gm_rsqrt(inf), 0);
    assert_bits(gm_rsqrt(-1), GM_NAN);
    assert_bits(gm_rsqrt(4), 0x3f000000u);
    assert_bits(gm_div(1, 0), GM_INF);
    assert_bits(gm_div(-1, 0), 0xff800000u);
    assert_bits(gm_div(0, 0), GM_NAN);
    assert_bits(gm_div(inf, inf), GM_NAN);
    assert_bits(gm_div(inf, 2), GM_INF);
    assert_bits(gm_div(2, -inf), 0);
    assert_bits(gm_div(0, inf), 0);
    assert_bits(gm_div(inf, 0), GM_INF);
    assert_bits(gm_div(nan, 1), GM_NAN);
    assert_bits(gm_div(0, nan), GM_NAN);
    assert_bits(gm_div(max, 0.5f), GM_INF);
    assert_bits(gm_div(0x1p-126f, 2), 0);
    assert_bits(gm_rcp(max), 0);

    assert_bits(gm_sin(0), 0);
    assert_bits(gm_sin(-tiny), 0xa6000000u);
    assert_bits(gm_cos(0), GM_ONE);
    assert_bits(gm_sin(inf), GM_NAN);
    assert_bits(gm_cos(nan), GM_NAN);
    assert_bits(gm_cos(0x1p31f), GM_NAN);
    assert_bits(gm_tanh(-inf), 0xbf800000u);
    assert_bits(gm_tanh(max), GM_ONE);
    assert_bits(gm_tanh(0), 0);
    assert_bits(gm_tanh(nan), GM_NAN);
    assert_bits(gm_erf(inf), GM_ONE);
    assert_bits(gm_erf(-max), 0xbf800000u);
    assert_bits(gm_erf(0), 0);
    assert_bits(gm_erf(nan), GM_NAN);
    assert_bits(gm_sigmoid(0), 0x3f000000u);
    assert_bits(gm_sigmoid(-inf), 0);
    assert_bits(gm_sigmoid(inf), GM_ONE);
    assert_bits(gm_sigmoid(nan), GM_NAN);
    assert_bits(gm_silu(-inf), 0);
    assert_bits(gm_silu(inf), GM_INF);
    assert_bits(gm_silu(nan), GM_NAN);
    assert_bits(gm_silu(0), 0);
}

static void special_values_of_powers(void **state)
{
    (void)state;
    const float inf = INFINITY, nan = gm_float(0xffc12345u), max = gm_float(0x7f7fffffu), tiny = 0x1p-51f;
    assert_bits(gm_pow(2, 10), gm_bits(1024));
    assert_bits(gm_pow(0, 2), 0);
    assert_bits(gm_pow(0, -2), GM_INF);
    assert_bits(gm_pow(inf, -2), 0);
    assert_bits(gm_pow(inf, 2), GM_INF);
    assert_bits(gm_pow(-2, 2), GM_NAN);
    assert_bits(gm_pow(nan, 2), GM_NAN);
    assert_bits(gm_pow(3, 0), GM_ONE);
    assert_bits(gm_pow(1, inf), GM_ONE);
    assert_bits(gm_pow(2, max), GM_INF);
    assert_bits(gm_pow(2, -max), 0);
    assert_bits(gm_pow(0.5f, inf), 0);
    assert_bits(gm_pow_int(nan, 0), GM_ONE);
    assert_bits(gm_pow_int(nan, 3), GM_NAN);
    assert_bits(gm_pow_int(-2, 3), gm_bits(-8));
    assert_bits(gm_pow_int(-2, 2), gm_bits(4));
    assert_bits(gm_pow_int(0, 5), 0);
    assert_bits(gm_pow_int(2, 127), 0x7f000000u);
    assert_bits(gm_pow_int(2, 128), GM_INF);
    assert_bits(gm_pow_int(0.5f, 126), GM_NORMAL);
    assert_bits(gm_pow_int(0.5f, 127), 0);
    assert_bits(gm_pow_int(max, 0xffffffffu), GM_INF);
    assert_bits(gm_pow_int(tiny, 0xffffffffu), 0);
    assert_bits(gm_pow_int(-inf, 3), 0xff800000u);
}

/* The compiler's conversions are the reference: cvtsi2ss, and libgcc's for _Float16. */
static void conversions_are_exact_or_rounded_to_even(void **state)
{
    (void)state;
    for (uint i = 0; i < 1000000; i++) {
        uint n = random_word(8, i) >> (i & 31);
        assert_int_equal(gm_bits(gm_from_uint(n)), gm_bits((float)n));
        assert_int_equal(gm_bits(gm_from_int((int)n)), gm_bits((float)(int)n));
        assert_int_equal(gm_bits(gm_from_int(-(int)(n >> 1))), gm_bits((float)-(int)(n >> 1)));
        float x = gm_float(i & 1 ? random_word(9, i) : ((random_word(9, i) & 0x81ffffffu) + 0x33000000u));
        _Float16 half = (_Float16)x;
        uint16_t half_bits;
        memcpy(&half_bits, &half, sizeof half_bits);
        assert_int_equal(gm_float_to_half(x), gm_is_nan(x) ? 0x7e00u : half_bits);
    }
    for (uint h = 0; h < 65536; h++) {
        uint16_t half_bits = (uint16_t)h;
        _Float16 half;
        memcpy(&half, &half_bits, sizeof half);
        assert_int_equal(gm_bits(gm_half_to_float(h)),
                         (h & 0x7fffu) > 0x7c00u ? GM_NAN : gm_bits((float)half));
        if ((h & 0x7fffu) <= 0x7c00u)
            assert_int_equal(gm_float_to_half(gm_half_to_float(h)), h);
        if ((h & 0x7fffu) <= 0x7f80u)
            assert_int_equal(gm_float_to_bf16(gm_bf16_to_float(h)), h);
        uint middle = h << 16 | 0x8000u; /* ties go to even, neighbours to the nearer */
        if ((middle & GM_ABS) > GM_INF)
            continue;
        assert_int_equal(gm_float_to_bf16(gm_float(middle)), h + (h & 1));
        assert_int_equal(gm_float_to_bf16(gm_float(middle - 1)), h);
        assert_int_equal(gm_float_to_bf16(gm_float(middle + 1)), h + 1);
    }
    assert_int_equal(gm_float_to_bf16(gm_float(0xffffffffu)), 0x7fc0u);
}

/* The words of `count` self-tests of every function. The compiler must not merge two calls: MXCSR is between
 * them. */
__attribute__((noipa)) static XXH64_hash_t selftest_hash(uint count)
{
    XXH64_hash_t hash = 0;
    for (uint f = 0; f < GM_SELFTEST_FUNCTIONS; f++)
        for (uint i = 0; i < count; i += 64) {
            uint words[64];
            for (uint j = 0; j < 64; j++)
                words[j] = gm_selftest(f, i + j);
            hash = XXH64(words, sizeof words, hash);
        }
    return hash;
}

static void no_operation_meets_a_subnormal(void **state)
{
    (void)state;
    float volatile small = 0x1p-100f, smaller = small * 0x1.000002p-40f;
    assert_true(smaller > 0 && _mm_getcsr() & FLAG_UNDERFLOW); /* the detector works */
    _mm_setcsr(_mm_getcsr() & ~(uint)(FLAG_DENORMAL | FLAG_UNDERFLOW));
    for (uint f = 0; f < GM_SELFTEST_FUNCTIONS; f++)
        for (uint i = 0; i < 65536; i++) {
            uint volatile word = gm_selftest(f, i);
            if (_mm_getcsr() & (FLAG_DENORMAL | FLAG_UNDERFLOW))
                fail_msg("function %u, index %u (result %08x): flags %x", f, i, word, _mm_getcsr());
        }
}

static void flushing_subnormals_changes_no_bit(void **state)
{
    (void)state;
    XXH64_hash_t before = selftest_hash(65536);
    _mm_setcsr(_mm_getcsr() | FLUSH_BOTH);
    float volatile small = 0x1p-100f, smaller = small * 0x1p-40f;
    assert_true(smaller == 0); /* the switch works */
    XXH64_hash_t flushed = selftest_hash(65536);
    _mm_setcsr(_mm_getcsr() & ~(uint)FLUSH_BOTH);
    assert_true(before == flushed);
}

/* The bits themselves: they may change only together with the golden profile's number. */
static void selftest_words_are_the_golden_ones(void **state)
{
    (void)state;
    XXH64_hash_t hash = selftest_hash(GM_SELFTEST_INDICES);
    printf("self-test hash %016llx\n", (unsigned long long)hash);
    assert_true(hash == 0x69d7f1e3da095c24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_stay_within_their_ulps),
        cmocka_unit_test(division_is_correctly_rounded),
        cmocka_unit_test(square_root_is_correctly_rounded),
        cmocka_unit_test(rotary_angles_are_right_to_1e_7),
        cmocka_unit_test(powers_build_rotary_frequencies),
        cmocka_unit_test(other_powers_are_as_good),
        cmocka_unit_test(integer_powers_stay_within_1_ulp),
        cmocka_unit_test(flush_gives_the_canonical_number),
        cmocka_unit_test(special_values_of_functions),
        cmocka_unit_test(special_values_of_powers),
        cmocka_unit_test(conversions_are_exact_or_rounded_to_even),
        cmocka_unit_test(no_operation_meets_a_subnormal),
        cmocka_unit_test(flushing_subnormals_changes_no_bit),
        cmocka_unit_test(selftest_words_are_the_golden_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
