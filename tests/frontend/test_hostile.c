/* A model cut off at every byte, and thousands of models with damaged bytes: the importer always returns with
 * a reason. */
#include "fuzz/fuzz.h"
#include "tests/frontend/import.h"

enum { MUTANTS = 4000 };

static struct trace trace;

static void write_small(struct builder *out, uint32_t spelling)
{
    struct onnx_llama model = onnx_llama_default();
    struct onnx_writer w = {0};
    model.layers = 1;
    model.hidden = 4;
    model.heads = 2;
    model.kv_heads = 1;
    model.head = 2;
    model.ffn = 3;
    model.vocabulary = 5;
    model.cache = spelling & 1;
    model.constant_nodes = spelling >> 1 & 1;
    model.rotary = spelling % 4;
    model.mask = spelling % 4;
    model.scale = spelling / 2 % 4;
    model.linear = spelling / 3 % 4;
    onnx_llama_write(&w, &model);
    onnx_finish(&w, out);
    onnx_writer_release(&w);
}

static void rejects_a_model_cut_off_anywhere(void **state)
{
    (void)state;
    struct import_fixture f;
    struct imported_model imported;
    struct builder bytes = {0};
    write_small(&bytes, 0);
    import_fixture_create(&f);
    import_write_bytes(&f, "model.onnx", bytes.data, bytes.length);
    assert_ok(frontend_import_onnx(&imported, f.path, NULL, &trace), &trace);
    imported_model_release(&imported);
    for (size_t length = 0; length < bytes.length; length++) {
        import_write_bytes(&f, "model.onnx", bytes.data, length);
        trace = (struct trace){0};
        if (frontend_import_onnx(&imported, f.path, NULL, &trace) == OK)
            fail_msg("a model of %zu bytes imports when cut off after %zu", bytes.length, length);
        assert_true(trace.length > 0);
    }
    import_fixture_release(&f);
    builder_release(&bytes);
}

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void survives_damaged_bytes(void **state)
{
    (void)state;
    static const uint8_t interesting[] = {0, 1, 127, 128, 255, 0x0a, 0x12};
    uint64_t seed = 1;
    for (uint32_t spelling = 0; spelling < 8; spelling++) {
        struct builder bytes = {0};
        write_small(&bytes, spelling);
        uint8_t *copy = malloc(bytes.length);
        for (uint32_t i = 0; i < MUTANTS / 8; i++) {
            memcpy(copy, bytes.data, bytes.length);
            for (uint32_t k = next(&seed) % 3 + 1; k > 0; k--) {
                uint32_t how = next(&seed) % 3, at = next(&seed) % (uint32_t)bytes.length;
                if (how == 0)
                    copy[at] ^= (uint8_t)(1 << next(&seed) % 8);
                else if (how == 1)
                    copy[at] = interesting[next(&seed) % sizeof interesting];
                else
                    copy[at] = (uint8_t)next(&seed);
            }
            LLVMFuzzerTestOneInput(copy, bytes.length);
        }
        free(copy);
        builder_release(&bytes);
    }
}

/* Swapped, repeated and removed stretches keep lengths plausible and break what names refer to. */
static void survives_moved_stretches(void **state)
{
    (void)state;
    uint64_t seed = 2;
    struct builder bytes = {0};
    write_small(&bytes, 3);
    uint8_t *copy = malloc(bytes.length);
    for (uint32_t i = 0; i < MUTANTS / 4; i++) {
        memcpy(copy, bytes.data, bytes.length);
        uint32_t length = next(&seed) % 40 + 1, limit = (uint32_t)bytes.length - length;
        uint32_t from = next(&seed) % limit, to = next(&seed) % limit;
        memcpy(copy + to, bytes.data + from, length);
        if (next(&seed) % 2)
            memcpy(copy + from, bytes.data + to, length);
        LLVMFuzzerTestOneInput(copy, bytes.length);
    }
    free(copy);
    builder_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rejects_a_model_cut_off_anywhere),
        cmocka_unit_test(survives_damaged_bytes),
        cmocka_unit_test(survives_moved_stretches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
