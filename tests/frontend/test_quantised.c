/* Quantised weights in ONNX files: decoded by the formulas of the operators' documentation, one element at a
 * time. */
#include "tests/frontend/import.h"

enum { IN = 40, OUT = 5, WORDS = 7, BLOCK = 16, BLOCKS = 3, UINT8 = 2, INT8 = 3 };

static struct trace trace;

struct quantised {
    int64_t bits; /* of MatMulNBits; 0: DequantizeLinear */
    bool has_zeros, has_bias, is_half;
    int64_t axis, block; /* of DequantizeLinear */
    int32_t type;
    int64_t scales; /* how many are written, 0: as many as there should be */
};

static uint8_t byte_at(int64_t i)
{
    return (uint8_t)(i * 73 + 29);
}

static float scale_at(int64_t i)
{
    return 0.25f + 0.125f * (float)(i % 5);
}

static const char *add_scales(struct onnx_writer *w, int64_t rows, int64_t columns, bool is_half)
{
    static const uint16_t halves[5] = {0x3400, 0x3600, 0x3800, 0x3900, 0x3a00}; /* 0.25, 0.375, ... */
    int64_t dims[2] = {rows, columns}, count = rows * (columns ? columns : 1);
    float values[IN * OUT];
    uint16_t small[IN * OUT];
    for (int64_t i = 0; i < count; i++) {
        values[i] = scale_at(i);
        small[i] = halves[i % 5];
    }
    onnx_tensor(w, "scales", is_half ? ONNX_TEST_FLOAT16 : ONNX_TEST_FLOAT, columns ? 2 : 1, dims,
                is_half ? (const void *)small : values, (size_t)count * (is_half ? 2 : 4));
    return "scales";
}

static const char *add_bytes(struct onnx_writer *w, const char *name, int32_t type, uint32_t rank,
                             const int64_t *dims, int64_t shift)
{
    uint8_t bytes[IN * OUT * 2];
    int64_t count = 1;
    for (uint32_t i = 0; i < rank; i++)
        count *= dims[i];
    for (int64_t i = 0; i < count; i++)
        bytes[i] = byte_at(i + shift);
    onnx_tensor(w, name, type, rank, dims, bytes, (size_t)count);
    return name;
}

static const char *add_blocks(struct onnx_writer *w, const struct quantised *q, const char *x)
{
    int64_t size = BLOCK * q->bits / 8, zero_size = (BLOCKS * q->bits + 7) / 8;
    const int64_t dims[3] = {OUT, BLOCKS, size}, zero_dims[2] = {OUT, zero_size}, out = OUT;
    const char *bytes = add_bytes(w, "bytes", UINT8, 3, dims, 0);
    const char *scales = add_scales(w, q->scales ? q->scales : OUT * BLOCKS, 0, q->is_half), *bias = "";
    const char *zeros = q->has_zeros ? add_bytes(w, "zeros", UINT8, 2, zero_dims, 7) : "";
    if (q->has_bias) {
        static const float values[OUT] = {1, 2, 3, 4, 5};
        onnx_tensor(w, bias = "bias", ONNX_TEST_FLOAT, 1, &out, values, sizeof values);
    }
    onnx_attribute_int(w, "K", IN);
    onnx_attribute_int(w, "N", OUT);
    onnx_attribute_int(w, "bits", q->bits);
    onnx_attribute_int(w, "block_size", BLOCK);
    w->domain = "com.microsoft";
    return onnx_op(w, "MatMulNBits", x, bytes, scales, zeros, "", bias, NULL);
}

static const char *add_linear(struct onnx_writer *w, const struct quantised *q, const char *x)
{
    const int64_t dims[2] = {IN, OUT}, order[2] = {q->axis == 0 ? IN : OUT, 0};
    const char *bytes = add_bytes(w, "bytes", q->type, 2, dims, 0), *zeros = "";
    const char *scales = q->block ? add_scales(w, q->axis == 0 ? IN / q->block : IN,
                                               q->axis == 0 ? OUT : OUT / q->block, q->is_half)
                                  : add_scales(w, q->scales ? q->scales : order[0], 0, q->is_half);
    if (q->has_zeros)
        zeros = add_bytes(w, "zeros", q->type, 1, order, 7);
    onnx_attribute_int(w, "axis", q->axis);
    if (q->block)
        onnx_attribute_int(w, "block_size", q->block);
    const char *weight = onnx_op(w, "DequantizeLinear", bytes, scales, zeros, NULL);
    return onnx_op(w, "MatMul", x, weight, NULL);
}

static void write_model(struct import_fixture *f, const struct quantised *q)
{
    struct onnx_writer w = {.opset = 21, .node_prefix = "/"};
    struct builder bytes = {0};
    const int64_t dims[2] = {WORDS, IN};
    float table[WORDS * IN] = {0};
    onnx_input(&w, "input_ids", ONNX_TEST_INT64, "batch sequence");
    onnx_tensor(&w, "embed", ONNX_TEST_FLOAT, 2, dims, table, sizeof table);
    const char *x = onnx_op(&w, "Gather", "embed", "input_ids", NULL);
    onnx_output(&w, q->bits ? add_blocks(&w, q, x) : add_linear(&w, q, x));
    onnx_finish(&w, &bytes);
    import_write_bytes(f, "model.onnx", bytes.data, bytes.length);
    onnx_writer_release(&w);
    builder_release(&bytes);
}

/* Element [n][k] of the weight [out, in]. */
static float expected(const struct quantised *q, int64_t n, int64_t k)
{
    if (q->bits) {
        int64_t block = k / BLOCK, inside = k % BLOCK, zero = INT64_C(1) << (q->bits - 1), value;
        int64_t first = (n * BLOCKS + block) * BLOCK * q->bits / 8,
                zeros = n * ((BLOCKS * q->bits + 7) / 8) + 7;
        if (q->bits == 8) {
            value = byte_at(first + inside);
            zero = q->has_zeros ? byte_at(zeros + block) : zero;
        } else {
            value = inside % 2 ? byte_at(first + inside / 2) / 16 : byte_at(first + inside / 2) % 16;
            if (q->has_zeros)
                zero = block % 2 ? byte_at(zeros + block / 2) / 16 : byte_at(zeros + block / 2) % 16;
        }
        return (float)(value - zero) * scale_at(n * BLOCKS + block);
    }
    int64_t along = q->axis == 0 ? k : n, at = q->scales == 1 ? 0 : along;
    int value = byte_at(k * OUT + n), zero = q->has_zeros ? byte_at(at + 7) : 0;
    if (q->type == INT8) {
        value -= value > 127 ? 256 : 0;
        zero -= zero > 127 ? 256 : 0;
    }
    if (q->block)
        at = q->axis == 0 ? k / q->block * OUT + n : k * (OUT / q->block) + n / q->block;
    return (float)(value - zero) * scale_at(at);
}

static void are_decoded_by_their_formulas(void **state)
{
    (void)state;
    static const struct quantised cases[] = {
        {.bits = 4},
        {.bits = 4, .has_zeros = true, .is_half = true},
        {.bits = 4, .has_bias = true},
        {.bits = 8},
        {.bits = 8, .has_zeros = true},
        {.axis = 1, .type = INT8},
        {.axis = 1, .type = INT8, .has_zeros = true},
        {.axis = 0, .type = UINT8, .has_zeros = true, .is_half = true},
        {.axis = 1, .type = UINT8, .scales = 1},
        {.axis = 0, .type = INT8, .block = 8},
        {.axis = 1, .type = UINT8, .block = 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct import_fixture f;
        struct imported_model model;
        float found[OUT * IN];
        import_fixture_create(&f);
        write_model(&f, &cases[i]);
        assert_ok(frontend_import_onnx(&model, f.path, NULL, &trace), &trace);
        assert_true(import_has_note(&model, "were decoded to f32"));
        const struct tensor *head = import_find_tensor(&model, "head");
        assert_non_null(head);
        assert_true(head->view.dims[0] == OUT && head->view.dims[1] == IN);
        tensor_view_read_f32(&head->view, 0, OUT * IN, found);
        for (int64_t k = 0; k < OUT * IN; k++)
            if (found[k] != expected(&cases[i], k / IN, k % IN))
                fail_msg("case %zu, element %d: %g, expected %g", i, (int)k, (double)found[k],
                         (double)expected(&cases[i], k / IN, k % IN));
        imported_model_release(&model);
        import_fixture_release(&f);
    }
}

static void are_refused_where_sizes_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        struct quantised q;
        const char *words;
    } cases[] = {
        {{.bits = 4, .scales = 14}, "15 scales"},
        {{.bits = 3}, "only 4 and 8"},
        {{.axis = 1, .type = INT8, .scales = 3}, "do not fit [40, 5]"},
        {{.axis = 0, .type = INT8, .scales = 5}, "do not fit [40, 5]"},
        {{.axis = 0, .type = INT8, .block = 7}, "do not fit [40, 5]"},
        {{.axis = 2, .type = INT8}, "do not fit [40, 5]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct import_fixture f;
        struct imported_model model;
        import_fixture_create(&f);
        write_model(&f, &cases[i].q);
        assert_fails(frontend_import_onnx(&model, f.path, NULL, &trace), UNSUPPORTED, &trace, cases[i].words);
        import_fixture_release(&f);
    }
}

enum { ROW = 32, ROW_BLOCKS = 2 };

/* A table of WORDS rows of two blocks. */
static void write_table(struct import_fixture *f, int64_t bits, bool has_zeros, int64_t block)
{
    struct onnx_writer w = {.opset = 21, .node_prefix = "/"};
    struct builder file = {0};
    const int64_t dims[2] = {WORDS, ROW * bits / 8}, zero_dims[2] = {WORDS, ROW_BLOCKS * bits / 8},
                  head_dims[2] = {ROW, OUT};
    static const float head[ROW * OUT] = {0};
    onnx_input(&w, "input_ids", ONNX_TEST_INT64, "batch sequence");
    onnx_tensor(&w, "head", ONNX_TEST_FLOAT, 2, head_dims, head, sizeof head);
    const char *bytes = add_bytes(&w, "bytes", UINT8, 2, dims, 0);
    const char *scales = add_scales(&w, WORDS, ROW_BLOCKS, false);
    const char *zeros = has_zeros ? add_bytes(&w, "zeros", UINT8, 2, zero_dims, 7) : "";
    onnx_attribute_int(&w, "bits", bits);
    onnx_attribute_int(&w, "block_size", block);
    onnx_attribute_int(&w, "gather_axis", 0);
    onnx_attribute_int(&w, "quantize_axis", 1);
    w.domain = "com.microsoft";
    const char *x = onnx_op(&w, "GatherBlockQuantized", bytes, "input_ids", scales, zeros, NULL);
    w.domain = NULL;
    onnx_output(&w, onnx_op(&w, "MatMul", x, "head", NULL));
    onnx_finish(&w, &file);
    import_write_bytes(f, "model.onnx", file.data, file.length);
    onnx_writer_release(&w);
    builder_release(&file);
}

static float row_element(int64_t bits, bool has_zeros, int64_t n, int64_t k)
{
    int64_t block = k / BLOCK, first = n * ROW * bits / 8, zeros = n * ROW_BLOCKS * bits / 8 + 7;
    int64_t value = bits == 8 ? byte_at(first + k) : byte_at(first + k / 2) >> k % 2 * 4 & 15;
    int64_t zero = INT64_C(1) << (bits - 1);
    if (has_zeros)
        zero = bits == 8 ? byte_at(zeros + block) : byte_at(zeros) >> block * 4 & 15;
    return (float)(value - zero) * scale_at(n * ROW_BLOCKS + block);
}

static void rows_are_gathered_from_blocks(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        int64_t bits = i / 2 ? 8 : 4;
        struct import_fixture f;
        struct imported_model model;
        float found[WORDS * ROW];
        import_fixture_create(&f);
        write_table(&f, bits, i % 2, BLOCK);
        assert_ok(frontend_import_onnx(&model, f.path, NULL, &trace), &trace);
        assert_true(import_has_note(&model, "were decoded to f32"));
        const struct tensor *table = import_find_tensor(&model, "embed");
        assert_non_null(table);
        assert_true(table->view.dims[0] == WORDS && table->view.dims[1] == ROW);
        tensor_view_read_f32(&table->view, 0, WORDS * ROW, found);
        for (int64_t k = 0; k < WORDS * ROW; k++)
            if (found[k] != row_element(bits, i % 2, k / ROW, k % ROW))
                fail_msg("%d bits, element %d: %g, expected %g", (int)bits, (int)k, (double)found[k],
                         (double)row_element(bits, i % 2, k / ROW, k % ROW));
        imported_model_release(&model);
        import_fixture_release(&f);
    }
    struct import_fixture f;
    struct imported_model model;
    import_fixture_create(&f);
    write_table(&f, 4, false, 64);
    assert_fails(frontend_import_onnx(&model, f.path, NULL, &trace), UNSUPPORTED, &trace,
                 "no multiple of block_size = 64");
    import_fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_decoded_by_their_formulas),
        cmocka_unit_test(are_refused_where_sizes_do_not_fit),
        cmocka_unit_test(rows_are_gathered_from_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
