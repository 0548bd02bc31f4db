/* Prints the logits that llama.cpp computes, or the ids of texts, for tools/compatibility.py and
 * compare_tokenizers.py. Not part of the build, which knows no libllama:
 *
 *     cc -O2 tools/llama_logits.c -lllama -lggml -o llama_logits
 *     llama_logits MODEL.gguf < sequences > logits
 *     llama_logits MODEL.gguf ids < texts > ids
 *
 * Without arguments it prints the version. Reads sequences, each an i32 length and as many i32 ids; writes
 * f32 logits [length][vocabulary] of each. */
#include <ggml-backend.h>
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_TOKENS = 512 };

static void quiet(enum ggml_log_level level, const char *text, void *data)
{
    (void)data;
    if (level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

static void write_logits(struct llama_context *context, int32_t vocabulary, int32_t *ids, int32_t count)
{
    struct llama_batch batch = llama_batch_init(count, 0, 1);
    batch.n_tokens = count;
    for (int32_t i = 0; i < count; i++) {
        batch.token[i] = ids[i];
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    llama_memory_clear(llama_get_memory(context), true);
    if (llama_decode(context, batch) != 0)
        exit(1);
    for (int32_t i = 0; i < count; i++)
        fwrite(llama_get_logits_ith(context, i), sizeof(float), (size_t)vocabulary, stdout);
    llama_batch_free(batch);
}

/* Each text a u32 length and its bytes; each answer an i32 count and as many ids, without any that the text
 * does not ask for. */
static int print_ids(const struct llama_vocab *vocab)
{
    uint32_t length;
    while (fread(&length, sizeof length, 1, stdin) == 1) {
        char *text = malloc(length + 1);
        int32_t *ids = malloc(sizeof *ids * (length + 8));
        if (!text || !ids || fread(text, 1, length, stdin) != length)
            return 2;
        int32_t found = llama_tokenize(vocab, text, (int32_t)length, ids, (int32_t)length + 8, false, true);
        if (found < 0)
            return 1;
        fwrite(&found, sizeof found, 1, stdout);
        fwrite(ids, sizeof *ids, (size_t)found, stdout);
        free(text);
        free(ids);
    }
    return 0;
}

int main(int count, char **arguments)
{
    int32_t length, ids[MOST_TOKENS];
    if (count < 2)
        return printf("%s\n", llama_version()) < 0;
    llama_log_set(quiet, NULL);
    ggml_backend_load_all();
    struct llama_model *model = llama_model_load_from_file(arguments[1], llama_model_default_params());
    if (!model)
        return 1;
    if (count > 2)
        return print_ids(llama_model_get_vocab(model));
    struct llama_context_params settings = llama_context_default_params();
    settings.n_ctx = settings.n_batch = settings.n_ubatch = MOST_TOKENS;
    settings.type_k = settings.type_v = GGML_TYPE_F32;
    settings.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    struct llama_context *context = llama_init_from_model(model, settings);
    if (!context)
        return 1;
    int32_t vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    while (fread(&length, sizeof length, 1, stdin) == 1) {
        if (length < 1 || length > MOST_TOKENS ||
            fread(ids, sizeof *ids, (size_t)length, stdin) != (size_t)length)
            return 2;
        write_logits(context, vocabulary, ids, length);
    }
    llama_free(context);
    llama_model_free(model);
    return 0;
}
