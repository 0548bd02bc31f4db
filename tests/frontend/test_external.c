/* Data files: found beside the model and nowhere else, and never read outside what they hold. */
#include "tests/frontend/import.h"
#include <sys/stat.h>
#include <unistd.h>

static struct trace trace;

/* A model with one stored tensor [4, 4] whose place in a data file is given by raw entries. */
static void write_model(struct import_fixture *f, const char *const entries[][2], uint32_t count)
{
    struct builder tensor = {0}, graph = {0}, model = {0}, opset = {0};
    proto_integer(&tensor, 1, 4);
    proto_integer(&tensor, 1, 4);
    proto_integer(&tensor, 2, ONNX_TEST_FLOAT);
    proto_text(&tensor, 8, "weight");
    for (uint32_t i = 0; i < count; i++) {
        struct builder entry = {0};
        proto_text(&entry, 1, entries[i][0]);
        proto_text(&entry, 2, entries[i][1]);
        proto_bytes(&tensor, 13, entry.data, entry.length);
        builder_release(&entry);
    }
    proto_integer(&tensor, 14, 1);
    proto_bytes(&graph, 5, tensor.data, tensor.length);
    proto_bytes(&model, 7, graph.data, graph.length);
    proto_integer(&opset, 2, 17);
    proto_bytes(&model, 8, opset.data, opset.length);
    import_write_bytes(f, "model.onnx", model.data, model.length);
    builder_release(&tensor);
    builder_release(&graph);
    builder_release(&model);
    builder_release(&opset);
}

static void expect(struct import_fixture *f, const char *location, const char *offset, const char *length,
                   enum status status, const char *words)
{
    const char *entries[3][2] = {{"location", location}, {"offset", offset}, {"length", length}};
    struct imported_model imported;
    write_model(f, entries, length ? 3 : offset ? 2 : 1);
    assert_fails(frontend_import_onnx(&imported, f->path, NULL, &trace), status, &trace, words);
    imported_model_release(&imported);
}

/* What the importer says once it has found the tensor: the model has no inputs. */
static const char *const accepted = "inputs that could be the tokens";

static void finds_data_by_offset_and_length(void **state)
{
    (void)state;
    struct import_fixture f;
    char bytes[100] = {0};
    import_fixture_create(&f);
    import_write_bytes(&f, "data.bin", bytes, sizeof bytes);
    expect(&f, "data.bin", "36", "64", UNSUPPORTED, accepted);
    expect(&f, "data.bin", "36", NULL, UNSUPPORTED, accepted); /* the rest of the file */
    expect(&f, "./data.bin", "0", "64", UNSUPPORTED, accepted);
    import_fixture_release(&f);
}

static void rejects_places_outside_the_file(void **state)
{
    (void)state;
    struct import_fixture f;
    char bytes[100] = {0};
    import_fixture_create(&f);
    import_write_bytes(&f, "data.bin", bytes, sizeof bytes);
    expect(&f, "data.bin", "37", "64", INVALID, "which has 100 bytes");
    expect(&f, "data.bin", "101", "0", INVALID, "which has 100 bytes");
    expect(&f, "data.bin", "18446744073709551615", "64", INVALID, "which has 100 bytes");
    expect(&f, "data.bin", "64", "18446744073709551615", INVALID, "which has 100 bytes");
    expect(&f, "data.bin", "0", "60", INVALID, "take 64 bytes, found 60");
    expect(&f, "data.bin", NULL, NULL, INVALID, "take 64 bytes, found 100");
    import_fixture_release(&f);
}

static void rejects_numbers_that_are_not_plain_decimals(void **state)
{
    (void)state;
    struct import_fixture f;
    char bytes[100] = {0};
    const char *const numbers[] = {"-1", "+1", " 1", "1 ", "0x10", "", "1e2", "18446744073709551616"};
    import_fixture_create(&f);
    import_write_bytes(&f, "data.bin", bytes, sizeof bytes);
    for (uint32_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        expect(&f, "data.bin", numbers[i], "64", INVALID, "expected a decimal number");
        expect(&f, "data.bin", "0", numbers[i], INVALID, "expected a decimal number");
    }
    import_fixture_release(&f);
}

static void stays_inside_the_folder_of_the_model(void **state)
{
    (void)state;
    struct import_fixture f;
    char bytes[100] = {0};
    import_fixture_create(&f);
    char *inner = path_join(f.directory, "inner");
    assert_int_equal(mkdir(inner, 0700), 0);
    import_write_bytes(&f, "data.bin", bytes, sizeof bytes);
    char *outside = path_join(f.directory, "data.bin"), *linked = path_join(inner, "link.bin");
    assert_int_equal(symlink(outside, linked), 0);
    struct import_fixture g = {inner, path_join(inner, "model.onnx")};
    expect(&g, "../data.bin", "0", "64", INVALID, "");
    expect(&g, "a/../../data.bin", "0", "64", INVALID, "");
    expect(&g, outside, "0", "64", INVALID, "");
    expect(&g, "link.bin", "0", "64", INVALID, "");
    expect(&g, "", "0", "64", INVALID, "without a location");
    expect(&g, "missing.bin", "0", "64", NOT_FOUND, "missing.bin");
    free(outside);
    free(linked);
    free(inner);
    free(g.path);
    import_fixture_release(&f);
}

static void refuses_hard_links_of_untrusted_models(void **state)
{
    (void)state;
    struct import_fixture f;
    struct imported_model imported;
    char bytes[64] = {0};
    const char *entries[1][2] = {{"location", "data.bin"}};
    const struct import_options untrusted = {.trust = IMPORT_UNTRUSTED};
    import_fixture_create(&f);
    import_write_bytes(&f, "data.bin", bytes, sizeof bytes);
    char *from = path_join(f.directory, "data.bin"), *to = path_join(f.directory, "other.bin");
    write_model(&f, entries, 1);
    assert_fails(frontend_import_onnx(&imported, f.path, &untrusted, &trace), UNSUPPORTED, &trace, accepted);
    assert_int_equal(link(from, to), 0);
    assert_fails(frontend_import_onnx(&imported, f.path, &untrusted, &trace), INVALID, &trace, "hard links");
    assert_fails(frontend_import_onnx(&imported, f.path, NULL, &trace), UNSUPPORTED, &trace, accepted);
    free(from);
    free(to);
    import_fixture_release(&f);
}

/* CVE-2026-34445: keys of others were set as attributes of the reader. Here they are read over, whatever they
 * are. */
static void unknown_entries_do_nothing(void **state)
{
    (void)state;
    struct import_fixture f;
    struct imported_model imported;
    char bytes[64] = {0};
    const char *entries[][2] = {{"location", "data.bin"},
                                {"length", "64"},
                                {"checksum", "no hash at all"},
                                {"__class__", "x"},
                                {"info", ""},
                                {"basepath", "/"},
                                {"LOCATION", "../../etc/passwd"},
                                {"", "x"},
                                {"offset ", "99999999"}};
    import_fixture_create(&f);
    import_write_bytes(&f, "data.bin", bytes, sizeof bytes);
    write_model(&f, entries, sizeof entries / sizeof *entries);
    assert_fails(frontend_import_onnx(&imported, f.path, NULL, &trace), UNSUPPORTED, &trace, accepted);
    import_fixture_release(&f);
}

/* After CVE-2026-34447: without a folder in the model's path the test of containment had nothing to compare
 * with. */
static void a_bare_name_is_in_the_working_folder(void **state)
{
    (void)state;
    struct import_fixture f;
    char bytes[64] = {0}, before[4096];
    import_fixture_create(&f);
    char *inner = path_join(f.directory, "inner");
    assert_int_equal(mkdir(inner, 0700), 0);
    import_write_bytes(&f, "secret.bin", bytes, sizeof bytes);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(inner), 0);
    assert_int_equal(symlink("../secret.bin", "link.bin"), 0);
    struct import_fixture bare = {(char *)(uintptr_t) ".", (char *)(uintptr_t) "model.onnx"};
    expect(&bare, "link.bin", "0", "64", INVALID, "leads out");
    expect(&bare, "../secret.bin", "0", "64", INVALID, "is not allowed");
    import_write_bytes(&bare, "data.bin", bytes, sizeof bytes);
    expect(&bare, "data.bin", "0", "64", UNSUPPORTED, accepted);
    assert_int_equal(chdir(before), 0);
    free(inner);
    import_fixture_release(&f);
}

static void rejects_contradictory_entries(void **state)
{
    (void)state;
    struct import_fixture f;
    struct imported_model imported;
    const char *twice[2][2] = {{"location", "a"}, {"location", "b"}};
    const char *none[1][2] = {{"checksum", "b"}};
    import_fixture_create(&f);
    write_model(&f, twice, 2);
    assert_fails(frontend_import_onnx(&imported, f.path, NULL, &trace), INVALID, &trace, "location twice");
    write_model(&f, none, 1);
    assert_fails(frontend_import_onnx(&imported, f.path, NULL, &trace), INVALID, &trace,
                 "without a location");
    import_fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_data_by_offset_and_length),
        cmocka_unit_test(rejects_places_outside_the_file),
        cmocka_unit_test(rejects_numbers_that_are_not_plain_decimals),
        cmocka_unit_test(stays_inside_the_folder_of_the_model),
        cmocka_unit_test(refuses_hard_links_of_untrusted_models),
        cmocka_unit_test(unknown_entries_do_nothing),
        cmocka_unit_test(a_bare_name_is_in_the_working_folder),
        cmocka_unit_test(rejects_contradictory_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
