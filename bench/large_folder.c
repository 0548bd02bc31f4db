/* large_folder FOLDER [layers]: a Hugging Face folder of a LLaMA of about a billion parameters (16 layers)
 * with random weights in bf16, for bench/large_pipeline.sh. Its tokenizer has 32,000 tokens over bytes, of
 * which text uses 256. */
#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HIDDEN = 2048,
    FFN = 8192,
    HEADS = 32,
    KV_HEADS = 8,
    HEAD = 64,
    VOCABULARY = 32000,
    MAX_TENSORS = 4096
};

struct tensor {
    char name[64];
    int64_t rows, columns; /* columns 0: a vector of ones */
};

struct folder {
    struct tensor tensors[MAX_TENSORS];
    uint32_t count;
};

static void add(struct folder *f, int64_t rows, int64_t columns, const char *name)
{
    struct tensor *t = &f->tensors[f->count++];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->rows = rows;
    t->columns = columns;
}

static void add_layer(struct folder *f, int layer)
{
    static const struct {
        const char *name;
        int64_t rows, columns;
    } parts[] = {
        {"input_layernorm", HIDDEN, 0},
        {"self_attn.q_proj", HEADS * HEAD, HIDDEN},
        {"self_attn.k_proj", KV_HEADS * HEAD, HIDDEN},
        {"self_attn.v_proj", KV_HEADS * HEAD, HIDDEN},
        {"self_attn.o_proj", HIDDEN, HEADS * HEAD},
        {"post_attention_layernorm", HIDDEN, 0},
        {"mlp.gate_proj", FFN, HIDDEN},
        {"mlp.up_proj", FFN, HIDDEN},
        {"mlp.down_proj", HIDDEN, FFN},
    };
    char name[64];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, parts[i].name);
        add(f, parts[i].rows, parts[i].columns, name);
    }
}

static int64_t count_of(const struct tensor *t)
{
    return t->rows * (t->columns ? t->columns : 1);
}

static void write_header(const struct folder *f, struct builder *out)
{
    struct builder json = {0};
    uint64_t at = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        const struct tensor *t = &f->tensors[i];
        uint64_t end = at + 2 * (uint64_t)count_of(t);
        builder_printf(&json, "%s\"%s\":{\"dtype\":\"BF16\",\"shape\":[%lld", i ? "," : "{", t->name,
                       (long long)t->rows);
        if (t->columns)
            builder_printf(&json, ",%lld", (long long)t->columns);
        builder_printf(&json, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                       (unsigned long long)end);
        at = end;
    }
    builder_add_text(&json, "}");
    while (json.length % 8)
        builder_add_text(&json, " ");
    uint64_t length = json.length;
    builder_add(out, (const char *)&length, sizeof length);
    builder_add(out, json.data, json.length);
    builder_release(&json);
}

/* About +-0.03, as the weights of such models are. */
static enum status write_tensor(struct file_writer *w, const struct tensor *t, uint64_t *seed,
                                struct trace *trace)
{
    uint16_t row[4096];
    int64_t left = count_of(t);
    while (left > 0) {
        int64_t count = left < 4096 ? left : 4096;
        for (int64_t i = 0; i < count; i++) {
            *seed = *seed * 6364136223846793005u + 1442695040888963407u;
            float value = (float)((int64_t)(*seed >> 40) - (1 << 23)) / (float)(1 << 23) * 0.03f;
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            row[i] = t->columns ? (uint16_t)(bits >> 16) : 0x3f80;
        }
        TRY(file_writer_add(w, row, (size_t)count * sizeof *row, trace));
        left -= count;
    }
    return OK;
}

static enum status write_weights(const struct folder *f, const char *path, struct trace *trace)
{
    struct file_writer w = {0};
    struct builder header = {0};
    uint64_t seed = 1;
    write_header(f, &header);
    enum status status = file_writer_open(&w, path, trace);
    if (status == OK)
        status = file_writer_add(&w, header.data, header.length, trace);
    for (uint32_t i = 0; i < f->count && status == OK; i++)
        status = write_tensor(&w, &f->tensors[i], &seed, trace);
    if (status == OK)
        status = file_writer_commit(&w, trace);
    file_writer_release(&w);
    builder_release(&header);
    return status;
}

static void print_config(struct builder *out, int layers)
{
    builder_printf(out,
                   "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":%d,"
                   "\"intermediate_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":%d,"
                   "\"num_key_value_heads\":%d,\"head_dim\":%d,\"vocab_size\":%d,\"rms_norm_eps\":1e-05,"
                   "\"rope_theta\":10000.0,\"hidden_act\":\"silu\",\"tie_word_embeddings\":false,"
                   "\"torch_dtype\":\"bfloat16\"}\n",
                   HIDDEN, FFN, layers, HEADS, KV_HEADS, HEAD, VOCABULARY);
}

/* A character of the byte alphabet for each of the first 256, made-up words for the others. */
static void print_tokenizer(struct builder *out)
{
    builder_add_text(out, "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{"
                          "\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
                          "\"model\":{\"type\":\"BPE\",\"vocab\":{");
    int hidden = 0;
    for (int byte = 0; byte < 256; byte++) {
        bool is_visible = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        builder_printf(out, "%s\"\\u%04x\":%d", byte ? "," : "", is_visible ? byte : 256 + hidden, byte);
        hidden += !is_visible;
    }
    for (int id = 256; id < VOCABULARY; id++)
        builder_printf(out, ",\"word%d\":%d", id, id);
    builder_add_text(out, "},\"merges\":[]}}\n");
}

static enum status write_text(const char *folder, const char *name, struct builder *text, struct trace *trace)
{
    char *path = path_join(folder, name);
    enum status status = file_write(path, text->data, text->length, trace);
    free(path);
    builder_release(text);
    return status;
}

int main(int argc, char **argv)
{
    static struct folder f;
    struct trace trace = {0};
    struct builder config = {0}, tokenizer = {0};
    int layers = argc > 2 ? atoi(argv[2]) : 16;
    if (argc < 2 || layers < 1 || layers > 400) {
        fprintf(stderr, "usage: large_folder FOLDER [layers]\n");
        return 2;
    }
    add(&f, VOCABULARY, HIDDEN, "model.embed_tokens.weight");
    for (int layer = 0; layer < layers; layer++)
        add_layer(&f, layer);
    add(&f, HIDDEN, 0, "model.norm.weight");
    add(&f, VOCABULARY, HIDDEN, "lm_head.weight");
    print_config(&config, layers);
    print_tokenizer(&tokenizer);
    char *path = path_join(argv[1], "model.safetensors");
    enum status status = directory_create(argv[1], &trace);
    if (status == OK)
        status = write_text(argv[1], "config.json", &config, &trace);
    if (status == OK)
        status = write_text(argv[1], "tokenizer.json", &tokenizer, &trace);
    if (status == OK)
        status = write_weights(&f, path, &trace);
    if (status != OK)
        fprintf(stderr, "%s\n", trace.text);
    free(path);
    return status_exit_code(status);
}
