/* Parses arbitrary bytes as the text of a graph. A failure has a reason; what parses and passes the verifier
 * can be put into canonical form, printed in both forms and parsed back to the same hash. */
#include "base/hash.h"
#include "fuzz/fuzz.h"
#include "ir/text.h"

static void parse_back(const struct graph *graph, enum text_form form)
{
    struct builder text = {0};
    struct trace trace = {0};
    struct graph *again = NULL;
    graph_print(graph, form, &text);
    if (graph_parse(&again, (struct str){text.data, text.length}, "again", &trace) != OK)
        BUG("what was printed does not parse: %s", trace.text);
    if (!hash128_equal(graph_hash(again), graph_hash(graph)))
        BUG("what was printed and parsed is another graph");
    graph_destroy(again);
    builder_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct graph *graph = NULL;
    struct trace trace = {0};
    enum status status = graph_parse(&graph, (struct str){(const char *)data, size}, "fuzz", &trace);
    if (status != OK && trace.length == 0)
        BUG("parsing failed without a reason");
    if (status == OK && graph_verify(graph, &trace) == OK) {
        struct graph *canonical = graph_canonicalise(graph);
        parse_back(canonical, TEXT_CANONICAL);
        parse_back(canonical, TEXT_READABLE);
        graph_destroy(canonical);
    }
    graph_destroy(graph);
    return 0;
}
