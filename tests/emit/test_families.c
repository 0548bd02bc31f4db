/* Text goldens of the analysis: what can be pruned in a model of each family, golden/families/NAME.txt. With
 * GOLDEN=update in the environment the files are written instead of compared. */
#include "passes/classes.h"
#include "tests/frontend/hf_models.h"
#include <stdio.h>
#include <stdlib.h>

static void print_classes(struct builder *out, const struct hf_model *model)
{
    struct import_fixture f;
    struct trace trace = {0};
    struct imported_model imported;
    struct classes classes;
    struct arena arena = {0};
    import_fixture_create(&f);
    hf_model_write(&f, model, 0);
    assert_ok(frontend_import(&imported, f.directory, NULL, &trace), &trace);
    assert_ok(classes_find(&classes, &arena, imported.graph, &trace), &trace);
    for (uint32_t i = 0; i < classes.count; i++) {
        const struct prunable *item = &classes.items[i];
        builder_printf(out, "%s %d %s:", item->name, (int)item->size, exactness_name(item->exactness));
        for (uint32_t c = 0; c < item->carrier_count; c++)
            builder_printf(out, " " STR_FORMAT ".%u",
                           STR_ARGUMENT(imported.graph->tensors.items[item->carriers[c].tensor].name),
                           item->carriers[c].axis);
        builder_add_text(out, "\n");
    }
    arena_release(&arena);
    imported_model_release(&imported);
    import_fixture_release(&f);
}

static bool is_as_committed(const char *path, const struct builder *text)
{
    const char *update = getenv("GOLDEN");
    static char committed[1 << 16];
    FILE *file = fopen(path, update ? "wb" : "rb");
    size_t size = 0;
    if (file && update)
        size = fwrite(text->data, 1, text->length, file);
    else if (file)
        size = fread(committed, 1, sizeof committed - 1, file);
    if (file)
        fclose(file);
    bool same = size == text->length && (update || memcmp(committed, text->data, size) == 0);
    if (!same)
        print_error("%s: got\n%.*s", path, (int)text->length, text->data);
    return same;
}

static void have_the_classes_that_are_committed(void **state)
{
    (void)state;
    uint32_t different = 0, repeats = 1;
    for (size_t i = 0; i < hf_model_count; i++) {
        struct builder text = {0};
        char path[256];
        bool is_same_name = i > 0 && strcmp(hf_models[i].name, hf_models[i - 1].name) == 0;
        repeats = is_same_name ? repeats + 1 : 1;
        snprintf(path, sizeof path, "golden/families/%s-%u.txt", hf_models[i].name, repeats);
        print_classes(&text, &hf_models[i]);
        different += !is_as_committed(path, &text);
        builder_release(&text);
    }
    assert_int_equal(different, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(have_the_classes_that_are_committed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
