/* Writing folders. */
#include "tests/frontend/hf_folder.h"
#include <inttypes.h>

void safetensors_add(struct safetensors_maker *maker, const char *name, const char *type, uint32_t rank,
                     const int64_t *dims, const void *bytes, size_t size)
{
    builder_printf(&maker->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                   maker->header.length > 0 ? "," : "", name, type);
    for (uint32_t i = 0; i < rank; i++)
        builder_printf(&maker->header, "%s%" PRId64, i > 0 ? "," : "", dims[i]);
    builder_printf(&maker->header, "],\"data_offsets\":[%zu,%zu]}", maker->content.length,
                   maker->content.length + size);
    builder_add(&maker->content, bytes, size);
}

void safetensors_finish(struct safetensors_maker *maker, struct builder *out)
{
    struct builder header = {0};
    builder_printf(&header, "{%s}", builder_text(&maker->header));
    while (header.length % 8 != 0)
        builder_add_text(&header, " ");
    uint64_t length = header.length;
    builder_add(out, (const char *)&length, sizeof length);
    builder_add(out, header.data, header.length);
    builder_add(out, builder_text(&maker->content), maker->content.length);
    builder_release(&header);
    builder_release(&maker->header);
    builder_release(&maker->content);
}

void safetensors_print(struct builder *out, const char *header, size_t content_size)
{
    uint64_t length = strlen(header);
    builder_add(out, (const char *)&length, sizeof length);
    builder_add_text(out, header);
    for (size_t i = 0; i < content_size; i++)
        builder_add(out, "", 1);
}

void hf_config_write(struct import_fixture *f, const struct onnx_llama *m, const char *more)
{
    struct builder text = {0};
    builder_printf(&text,
                   "{\"architectures\": [\"%s\"], \"hidden_size\": %" PRId64
                   ", \"intermediate_size\": %" PRId64 ", \"num_hidden_layers\": %" PRId64
                   ", \"num_attention_heads\": %" PRId64 ", \"num_key_value_heads\": %" PRId64
                   ", \"head_dim\": %" PRId64 ", \"vocab_size\": %" PRId64
                   ", \"rms_norm_eps\": 1e-05, \"tie_word_embeddings\": %s, \"hidden_act\": \"silu\"%s}",
                   m->bias ? "Qwen2ForCausalLM" : "LlamaForCausalLM", m->hidden, m->ffn, m->layers, m->heads,
                   m->kv_heads, m->head, m->vocabulary, m->tie == TIE_NONE ? "false" : "true", more);
    import_write_bytes(f, "config.json", text.data, text.length);
    builder_release(&text);
}

static void add_weight(struct safetensors_maker *maker, const struct onnx_llama *m, const char *part,
                       const char *name, int64_t rows, int64_t columns)
{
    int64_t dims[2] = {rows, columns}, count = rows * (columns ? columns : 1);
    float *values = onnx_llama_weight(part, count);
    _Float16 *half = malloc((size_t)count * sizeof *half);
    for (int64_t i = 0; i < count; i++)
        half[i] = (_Float16)values[i];
    if (m->half)
        safetensors_add(maker, name, "F16", columns ? 2 : 1, dims, half, (size_t)count * sizeof *half);
    else
        safetensors_add(maker, name, "F32", columns ? 2 : 1, dims, values, (size_t)count * sizeof *values);
    free(half);
    free(values);
}

static void add_layer(struct safetensors_maker *maker, const struct onnx_llama *m, int layer)
{
    int64_t wide = m->heads * m->head, narrow = m->kv_heads * m->head;
    const struct {
        const char *part, *key;
        int64_t rows, columns;
    } weights[] = {
        {"attention_norm", "input_layernorm.weight", m->hidden, 0},
        {"q", "self_attn.q_proj.weight", wide, m->hidden},
        {"k", "self_attn.k_proj.weight", narrow, m->hidden},
        {"v", "self_attn.v_proj.weight", narrow, m->hidden},
        {"o", "self_attn.o_proj.weight", m->hidden, wide},
        {"mlp_norm", "post_attention_layernorm.weight", m->hidden, 0},
        {"gate", "mlp.gate_proj.weight", m->ffn, m->hidden},
        {"up", "mlp.up_proj.weight", m->ffn, m->hidden},
        {"down", "mlp.down_proj.weight", m->hidden, m->ffn},
        {"q.bias", "self_attn.q_proj.bias", wide, 0},
        {"k.bias", "self_attn.k_proj.bias", narrow, 0},
        {"v.bias", "self_attn.v_proj.bias", narrow, 0},
    };
    for (size_t i = 0; i < (m->bias ? 12 : 9); i++) {
        char part[64], name[128];
        snprintf(part, sizeof part, "layers.%d.%s", layer, weights[i].part);
        snprintf(name, sizeof name, "model.layers.%d.%s", layer, weights[i].key);
        add_weight(maker, m, part, name, weights[i].rows, weights[i].columns);
    }
}

static void write_maker(struct import_fixture *f, struct safetensors_maker *maker, const char *name)
{
    struct builder bytes = {0};
    safetensors_finish(maker, &bytes);
    import_write_bytes(f, name, bytes.data, bytes.length);
    builder_release(&bytes);
}

/* "NAME": "FILE" for every tensor of the maker's header. */
static void add_to_index(struct builder *index, const struct safetensors_maker *maker, const char *file)
{
    const char *at = builder_text(&maker->header), *end;
    while ((end = strstr(at, "\":{\"dtype"))) {
        const char *start = end;
        while (start[-1] != '"')
            start--;
        builder_printf(index, "%s\"%.*s\": \"%s\"", index->length > 0 ? ", " : "", (int)(end - start), start,
                       file);
        at = end + 1;
    }
}

void hf_folder_write(struct import_fixture *f, const struct onnx_llama *m, enum shards shards)
{
    struct safetensors_maker first = {0}, second = {0};
    struct safetensors_maker *layers = shards == ONE_FILE ? &first : &second;
    hf_config_write(f, m, "");
    add_weight(&first, m, "embed", "model.embed_tokens.weight", m->vocabulary, m->hidden);
    for (int layer = 0; layer < m->layers; layer++)
        add_layer(layers, m, layer);
    add_weight(&first, m, "norm", "model.norm.weight", m->hidden, 0);
    if (m->tie == TIE_NONE)
        add_weight(&first, m, "head", "lm_head.weight", m->vocabulary, m->hidden);
    if (shards == ONE_FILE) {
        write_maker(f, &first, "model.safetensors");
        return;
    }
    struct builder list = {0}, index = {0};
    add_to_index(&list, &first, "model-00001-of-00002.safetensors");
    add_to_index(&list, &second, "model-00002-of-00002.safetensors");
    builder_printf(&index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {%s}}", builder_text(&list));
    import_write_bytes(f, "model.safetensors.index.json", index.data, index.length);
    write_maker(f, &first, "model-00001-of-00002.safetensors");
    write_maker(f, &second, "model-00002-of-00002.safetensors");
    builder_release(&list);
    builder_release(&index);
}
