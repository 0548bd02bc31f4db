/* pipeline/profile_file.c: JSON whatever bytes the names of a model are. */
#include "base/file.h"
#include "pipeline/profile_file.h"
#include "tests/support/test.h"
#include <jansson.h>

static void names_of_any_bytes_become_json(void **state)
{
    (void)state;
    static const char *const names[] = {"%0 = add (\xff\xfeweights)", "%1 = add (caf\xc3\xa9)",
                                        "%2 = add (\xe2\x82)"};
    static const char *const expected[] = {"%0 = add (\xef\xbf\xbd\xef\xbf\xbdweights)",
                                           "%1 = add (caf\xc3\xa9)", "%2 = add (\xef\xbf\xbd\xef\xbf\xbd)"};
    char *directory = test_directory_create(), *path = path_join(directory, "trace.json");
    struct trace trace = {0};
    struct profile_file *file = NULL;
    assert_ok(profile_file_open(&file, path, &trace), &trace);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        profile_span(profile_file_profile(file),
                     &(struct profile_span){
                         .lane = PROFILE_DEVICE, .name = "add", .detail = names[i], .start = 1, .end = 2});
    assert_ok(profile_file_close(file, &trace), &trace);
    json_t *json = json_load_file(path, 0, NULL);
    const json_t *events = json_object_get(json, "traceEvents");
    assert_int_equal(json_array_size(events), 5); /* two name the lanes */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *arguments = json_object_get(json_array_get(events, i + 2), "args");
        assert_string_equal(json_string_value(json_object_get(arguments, "node")), expected[i]);
    }
    json_decref(json);
    free(path);
    test_directory_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_of_any_bytes_become_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
