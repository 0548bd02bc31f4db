/* Randomness against the test vectors of Random123, and its distributions against their moments. */
#include "tests/support/test.h"

#include "shaders/scalar/permute.h"
#include <math.h>

/* Random123 1.09, tests/kat_vectors, "philox4x32 10": counter, key, expected. */
static void philox_gives_the_published_words(void **state)
{
    (void)state;
    // clang-format off
    static const uint32_t vectors[][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
         0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0,
         0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const uint32_t *v = vectors[i];
        struct gm_words words = gm_philox((struct gm_words){v[0], v[1], v[2], v[3]}, v[4], v[5]);
        assert_int_equal(words.x, v[6]);
        assert_int_equal(words.y, v[7]);
        assert_int_equal(words.z, v[8]);
        assert_int_equal(words.w, v[9]);
    }
}

static void uniform_numbers_stay_inside_the_open_interval(void **state)
{
    (void)state;
    assert_true(gm_uniform(0) == 0x1p-24f);
    assert_true(gm_uniform(0xffffffffu) == 1 - 0x1p-24f);
    assert_true(gm_uniform(0x80000000u) == 0.5f + 0x1p-24f);
    for (uint bits = 0; bits < 0xffff0000u; bits += 0xffffu) {
        double want = ((bits >> 9) + 0.5) * 0x1p-23;
        assert_true((double)gm_uniform(bits) == want);
    }
}

static void normal_numbers_are_box_and_mullers(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    double sum[5] = {0}, worst = 0, mixed = 0;
    for (uint i = 0; i < COUNT; i++) {
        struct gm_words words = gm_philox((struct gm_words){i, 0, 0, 0}, 3, 4);
        struct gm_pair normal = gm_normal_pair(words.x, words.y);
        double radius = sqrt(-2 * log((double)gm_uniform(words.x)));
        double angle = words.y * (2 * 3.14159265358979323846 / 4294967296.0);
        worst = fmax(worst, fabs((double)normal.hi - radius * cos(angle)));
        worst = fmax(worst, fabs((double)normal.lo - radius * sin(angle)));
        assert_true(gm_bits(gm_normal(words.x, words.y)) == gm_bits(normal.hi));
        for (int power = 1; power < 5; power++)
            sum[power] += pow((double)normal.hi, power) / COUNT;
        mixed += (double)normal.hi * (double)normal.lo / COUNT;
    }
    printf("normal: error at most %.3g; moments %.4f %.4f %.4f %.4f\n", worst, sum[1], sum[2], sum[3],
           sum[4]);
    assert_true(worst < 1e-6);
    assert_true(fabs(sum[1]) < 0.01 && fabs(sum[2] - 1) < 0.02 && fabs(sum[3]) < 0.04 &&
                fabs(sum[4] - 3) < 0.15);
    assert_true(fabs(mixed) < 0.01);
}

static void a_permutation_hits_every_index_once(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 7, 16, 17, 100, 256, 1000, 4097};
    static unsigned char seen[4097];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t key = 0; key < 8; key++) {
            memset(seen, 0, sizeof seen);
            for (uint64_t i = 0; i < sizes[s]; i++) {
                uint64_t to = gm_permute(key << 33 | 5, sizes[s], i);
                assert_true(to < sizes[s]);
                assert_int_equal(seen[to]++, 0);
            }
        }
}

/* Where each of 12 indices goes under 12000 keys: every place should get it about 1000 times. */
static void a_permutation_favours_no_place(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 12; i++) {
        double counts[12] = {0}, chi_square = 0;
        for (uint64_t key = 0; key < 12000; key++)
            counts[gm_permute(key * 0x9e3779b97f4a7c15u, 12, i)]++;
        for (int place = 0; place < 12; place++)
            chi_square += (counts[place] - 1000) * (counts[place] - 1000) / 1000;
        assert_true(chi_square < 40); /* 11 degrees of freedom: p = 4e-5 */
    }
}

static void permutations_of_large_ranges_work(void **state)
{
    (void)state;
    const uint64_t n = ((uint64_t)1 << 40) + 12345;
    double sum = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t to = gm_permute(7, n, i);
        assert_true(to < n);
        sum += (double)to / (double)n / 1000;
    }
    assert_true(fabs(sum - 0.5) < 0.05);
    assert_true(gm_permute(7, n, 0) != gm_permute(8, n, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_words),
        cmocka_unit_test(uniform_numbers_stay_inside_the_open_interval),
        cmocka_unit_test(normal_numbers_are_box_and_mullers),
        cmocka_unit_test(a_permutation_hits_every_index_once),
        cmocka_unit_test(a_permutation_favours_no_place),
        cmocka_unit_test(permutations_of_large_ranges_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
