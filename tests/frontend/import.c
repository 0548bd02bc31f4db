/* Importing in tests. */
#include "tests/frontend/import.h"
#include "ir/text.h"

void import_fixture_create(struct import_fixture *f)
{
    f->directory = test_directory_create();
    f->path = path_join(f->directory, "model.onnx");
}

void import_fixture_release(struct import_fixture *f)
{
    test_directory_remove(f->directory);
    free(f->path);
}

void import_write_bytes(struct import_fixture *f, const char *name, const void *bytes, size_t length)
{
    char *path = path_join(f->directory, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    free(path);
}

void import_write(struct import_fixture *f, const struct onnx_llama *model)
{
    struct onnx_writer w = {0};
    struct builder bytes = {0};
    onnx_llama_write(&w, model);
    onnx_finish(&w, &bytes);
    import_write_bytes(f, "model.onnx", bytes.data, bytes.length);
    if (model->external)
        import_write_bytes(f, model->external, builder_text(&w.data), w.data.length);
    builder_release(&bytes);
    onnx_writer_release(&w);
}

void import_llama(struct imported_model *out, struct import_fixture *f, const struct onnx_llama *model)
{
    static struct trace trace;
    import_write(f, model);
    assert_ok(frontend_import_onnx(out, f->path, NULL, &trace), &trace);
}

static struct hash128 hash_view(const struct tensor_view *view)
{
    size_t size = tensor_view_bytes(view);
    void *bytes = malloc(size);
    tensor_view_read_raw(view, 0, tensor_view_count(view), bytes);
    struct hash128 hash = hash128_of(bytes, size);
    free(bytes);
    return hash;
}

void import_text(struct builder *out, struct imported_model *model)
{
    for (uint32_t i = 0; i < model->graph->tensors.count; i++) {
        struct tensor *tensor = &model->graph->tensors.items[i];
        tensor->id = hash_view(&tensor->view);
        tensor->has_id = true;
    }
    model->graph->interface = (struct interface){0}; /* the program alone */
    graph_print(model->graph, TEXT_CANONICAL, out);
}

const struct tensor *import_find_tensor(const struct imported_model *model, const char *name)
{
    for (uint32_t i = 0; i < model->graph->tensors.count; i++)
        if (str_is(model->graph->tensors.items[i].name, name))
            return &model->graph->tensors.items[i];
    return NULL;
}

bool import_has_note(const struct imported_model *model, const char *words)
{
    for (uint32_t i = 0; i < model->notes.count; i++)
        if (strstr(model->notes.items[i].data, words))
            return true;
    return false;
}
