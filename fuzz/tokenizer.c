/* Reads arbitrary bytes as a tokenizer.json, up to the first NUL byte, and encodes what stands behind it, and
 * a text of our own. What can be encoded can be decoded. */
#include "data/tokenizer.h"
#include "fuzz/fuzz.h"
#include <string.h>

static void encode(struct tokenizer *tokenizer, struct str text)
{
    struct token_list ids = {0};
    struct builder back = {0};
    struct trace trace = {0};
    enum status status = tokenizer_encode(tokenizer, text, &ids, &trace);
    if (status != OK && trace.length == 0)
        BUG("encoding failed without a reason");
    for (size_t i = 0; status == OK && i < ids.count; i++)
        if (ids.items[i] < 0 || (uint32_t)ids.items[i] >= tokenizer_vocabulary(tokenizer))
            BUG("the id %d is not in the vocabulary", ids.items[i]);
    if (status == OK && tokenizer_decode(tokenizer, ids.items, ids.count, &back, &trace) != OK)
        BUG("what was encoded cannot be decoded: %s", trace.text);
    token_list_release(&ids);
    builder_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *tokenizer = NULL;
    struct trace trace = {0};
    size_t length = strnlen((const char *)data, size), skip = length + (length < size);
    enum status status = tokenizer_open_text(&tokenizer, (struct str){(const char *)data, length}, &trace);
    if (status != OK && trace.length == 0)
        BUG("a tokenizer was refused without a reason");
    if (status == OK) {
        encode(tokenizer, (struct str){(const char *)data + skip, size - skip});
        encode(tokenizer, STR("Two foxes, 1234 dogs:\n\t \xc3\xa9t\xc3\xa9 \xe2\x82\xac<|endoftext|>  "));
    }
    tokenizer_close(tokenizer);
    return 0;
}
