/* safetensors: every rule of the format is held, and damaged files are refused with a reason. */
#include "frontend/safetensors.h"
#include "fuzz/safetensors.h"
#include "tests/frontend/hf_folder.h"

enum { MUTANTS = 20000 };

static struct trace trace;

struct reading {
    struct arena arena;
    struct weight_set set;
    struct mapping file;
};

static enum status read_bytes(struct reading *r, const struct builder *bytes)
{
    *r = (struct reading){
        .file = {.data = (const uint8_t *)builder_text(bytes), .size = bytes->length, .fd = -1}};
    r->set.arena = &r->arena;
    trace = (struct trace){0};
    return safetensors_read(&r->set, &r->file, &trace);
}

static void refuse(const char *header, size_t content, enum status status, const char *words)
{
    struct builder bytes = {0};
    struct reading r;
    safetensors_print(&bytes, header, content);
    assert_fails(read_bytes(&r, &bytes), status, &trace, words);
    arena_release(&r.arena);
    builder_release(&bytes);
}

#define TENSOR(name, type, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void reads_what_a_writer_wrote(void **state)
{
    (void)state;
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    static const uint16_t bfloats[2] = {0x3f80, 0xc000}, halves[2] = {0x3c00, 0xc000};
    static const int64_t dims[2] = {2, 3}, two = 2, none[2] = {0, 5};
    struct safetensors_maker maker = {0};
    struct builder bytes = {0};
    struct reading r;
    float found[6];
    builder_add_text(&maker.header, "\"__metadata__\":{\"format\":\"pt\"}");
    safetensors_add(&maker, "a", "F32", 2, dims, values, sizeof values);
    safetensors_add(&maker, "b", "BF16", 1, &two, bfloats, sizeof bfloats);
    safetensors_add(&maker, "c", "F16", 1, &two, halves, sizeof halves);
    safetensors_add(&maker, "empty", "F32", 2, none, "", 0);
    safetensors_add(&maker, "scalar", "F32", 0, NULL, values, 4);
    safetensors_add(&maker, "ids", "I64", 1, &two, values, 16);
    safetensors_finish(&maker, &bytes);
    assert_ok(read_bytes(&r, &bytes), &trace);
    assert_int_equal(r.set.items.count, 6);
    struct tensor_view view;
    assert_ok(weight_set_take(&view, &r.set, "a", 2, dims, &trace), &trace);
    tensor_view_read_f32(&view, 0, 6, found);
    assert_memory_equal(found, values, sizeof values);
    assert_ok(weight_set_take(&view, &r.set, "b", 1, &two, &trace), &trace);
    tensor_view_read_f32(&view, 0, 2, found);
    assert_true(found[0] == 1 && found[1] == -2);
    assert_ok(weight_set_take(&view, &r.set, "c", 1, &two, &trace), &trace);
    tensor_view_read_f32(&view, 0, 2, found);
    assert_true(found[0] == 1 && found[1] == -2);
    assert_fails(weight_set_take(&view, &r.set, "ids", 1, &two, &trace), UNSUPPORTED, &trace,
                 "'ids' has elements of type I64");
    assert_fails(weight_set_take(&view, &r.set, "d", 1, &two, &trace), INVALID, &trace, "no tensor 'd'");
    assert_fails(weight_set_check_taken(&r.set, &trace), UNSUPPORTED, &trace, "'empty'");
    arena_release(&r.arena);
    builder_release(&bytes);
}

static void refuses_headers_that_do_not_fit_the_file(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {3, 100000001, UINT64_MAX, UINT64_C(1) << 63, 0};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct builder bytes = {0};
        struct reading r;
        builder_add(&bytes, (const char *)&lengths[i], sizeof lengths[i]);
        builder_add_text(&bytes, "{}");
        assert_fails(read_bytes(&r, &bytes), INVALID, &trace, "no safetensors file");
        arena_release(&r.arena);
        builder_release(&bytes);
    }
    for (size_t length = 0; length < 8; length++) {
        struct builder bytes = {0};
        struct reading r;
        builder_add(&bytes, "\0\0\0\0\0\0\0", length);
        assert_fails(read_bytes(&r, &bytes), INVALID, &trace,
                     "no safetensors file: expected at least 8 bytes");
        builder_release(&bytes);
    }
}

static void refuses_headers_that_are_no_plain_objects(void **state)
{
    (void)state;
    refuse("[]", 0, INVALID, "begin with '{'");
    refuse(" {}", 0, INVALID, "begin with '{'");
    refuse("{} x", 0, INVALID, "JSON");
    refuse("{", 0, INVALID, "JSON");
    refuse("{\"a\":1}", 0, INVALID, "no object");
    refuse("{\"__metadata__\":{\"a\":1}}", 0, INVALID, "no text");
    refuse("{\"__metadata__\":[]}", 0, INVALID, "__metadata__");
    refuse("{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("a", "F32", "[1]", "[0,4]") "}", 4, INVALID,
           "duplicate");
    struct builder bytes = {0};
    struct reading r;
    uint64_t length = 8;
    builder_add(&bytes, (const char *)&length, sizeof length);
    builder_add(&bytes, "{}\0\0\0\0\0\0", 8);
    assert_fails(read_bytes(&r, &bytes), INVALID, &trace, "zero bytes");
    builder_release(&bytes);
}

static void refuses_holes_and_overlaps(void **state)
{
    (void)state;
    const char *good = "{" TENSOR("b", "F32", "[1]", "[4,8]") "," TENSOR("a", "F32", "[1]", "[0,4]") "}    ";
    struct builder bytes = {0};
    struct reading r;
    safetensors_print(&bytes, good, 8);
    assert_ok(read_bytes(&r, &bytes), &trace);
    arena_release(&r.arena);
    builder_release(&bytes);
    refuse(good, 9, INVALID, "end at byte 8");
    refuse(good, 7, INVALID, "outside");
    refuse("{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[8,12]") "}", 12, INVALID,
           "hole");
    refuse("{" TENSOR("a", "F32", "[1]", "[4,8]") "}", 8, INVALID, "hole");
    refuse("{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[1]", "[4,8]") "}", 8, INVALID,
           "overlaps");
    refuse("{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[0,4]") "}", 4, INVALID,
           "overlaps");
    refuse("{}", 1, INVALID, "end at byte 0");
}

static void refuses_shapes_that_do_not_fit_their_bytes(void **state)
{
    (void)state;
    refuse("{" TENSOR("a", "F32", "[2]", "[0,4]") "}", 4, INVALID, "takes 8 bytes");
    refuse("{" TENSOR("a", "F32", "[-1]", "[0,4]") "}", 4, INVALID, "no size");
    refuse("{" TENSOR("a", "F32", "[1.0]", "[0,4]") "}", 4, INVALID, "no size");
    refuse("{" TENSOR("a", "F32", "[99999999999999999999]", "[0,4]") "}", 4, INVALID, "JSON");
    refuse("{" TENSOR("a", "F32", "[4294967296,4294967296,4294967296]", "[0,4]") "}", 4, INVALID,
           "overflows");
    refuse("{" TENSOR("a", "F32", "[9223372036854775807]", "[0,4]") "}", 4, INVALID, "overflows");
    refuse("{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, UNSUPPORTED, "9 axes");
    refuse("{" TENSOR("a", "F4", "[3]", "[0,2]") "}", 2, INVALID, "whole bytes");
    refuse("{" TENSOR("a", "F3", "[3]", "[0,2]") "}", 2, UNSUPPORTED, "\"F3\"");
    refuse("{" TENSOR("a", "F32", "[1]", "[4,0]") "}", 4, INVALID, "outside");
    refuse("{" TENSOR("a", "F32", "[1]", "[0]") "}", 4, INVALID, "two offsets");
    refuse("{" TENSOR("a", "F32", "[1]", "[-4,0]") "}", 4, INVALID, "two offsets");
    refuse("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, INVALID, "dtype");
    refuse("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, INVALID, "shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, INVALID, "\"x\"");
}

static void limits_the_structure_of_a_header(void **state)
{
    (void)state;
    struct builder header = {0};
    builder_add_text(&header, "{\"a\":[");
    for (uint32_t i = 0; i <= 2 << 20; i++)
        builder_add_text(&header, ",");
    builder_add_text(&header, "]}");
    refuse(builder_text(&header), 0, INVALID, "members");
    builder_release(&header);
}

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void survives_damaged_bytes(void **state)
{
    (void)state;
    static const float values[16] = {0};
    static const int64_t dims[2] = {2, 2}, four = 4;
    struct safetensors_maker maker = {0};
    struct builder bytes = {0};
    safetensors_add(&maker, "a", "F32", 2, dims, values, 16);
    safetensors_add(&maker, "b", "BF16", 1, &four, values, 8);
    safetensors_add(&maker, "c", "I8", 1, &four, values, 4);
    safetensors_finish(&maker, &bytes);
    uint8_t *mutant = malloc(bytes.length);
    for (size_t length = 0; length <= bytes.length; length++)
        LLVMFuzzerTestOneInput((const uint8_t *)bytes.data, length);
    uint64_t seed = 1;
    for (uint32_t i = 0; i < MUTANTS; i++) {
        memcpy(mutant, bytes.data, bytes.length);
        for (uint32_t k = 0; k <= i % 4; k++) {
            static const char marks[] = "\0\xff[]{}:,\"09-eE ";
            size_t at = next(&seed) % bytes.length;
            mutant[at] = k % 2 ? (uint8_t)next(&seed) : (uint8_t)marks[next(&seed) % (sizeof marks - 1)];
        }
        LLVMFuzzerTestOneInput(mutant, bytes.length);
    }
    free(mutant);
    builder_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_a_writer_wrote),
        cmocka_unit_test(refuses_headers_that_do_not_fit_the_file),
        cmocka_unit_test(refuses_headers_that_are_no_plain_objects),
        cmocka_unit_test(refuses_holes_and_overlaps),
        cmocka_unit_test(refuses_shapes_that_do_not_fit_their_bytes),
        cmocka_unit_test(limits_the_structure_of_a_header),
        cmocka_unit_test(survives_damaged_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
