/* inspect: the model as a person thinks of it, and what can be pruned; or scores, drawn. */
#include "base/log.h"
#include "cli/command.h"
#include "cli/scores_view.h"
#include "data/utf8.h"
#include "passes/classes.h"
#include "pipeline/scores_source.h"
#include <stdio.h>
#include <string.h>

/* One number when all layers agree, else a list. */
static json_t *sizes_json(const int64_t *sizes, uint32_t layers)
{
    int64_t size;
    if (shape_is_uniform(sizes, layers, &size))
        return json_integer((json_int_t)size);
    json_t *list = json_array();
    for (uint32_t i = 0; i < layers; i++)
        json_array_append_new(list, json_integer((json_int_t)sizes[i]));
    return list;
}

static json_t *class_json(const struct prunable *c)
{
    return json_pack("{s:s,s:I,s:i,s:s,s:s}", "name", c->name, "size", (json_int_t)c->size, "carriers",
                     (int)c->carrier_count, "facts", c->facts, "exactness", exactness_name(c->exactness));
}

/* Names of inputs and of the cache, as far as there are any. */
static json_t *interface_json(const struct interface *f)
{
    static const char *const parts[CACHE_PARTS] = {"past_key", "past_value", "present_key", "present_value"};
    json_t *json = json_object();
    if (f->mask.name.length > 0)
        json_object_set_new(json, "mask", json_stringn(f->mask.name.data, f->mask.name.length));
    if (f->positions.name.length > 0)
        json_object_set_new(json, "positions",
                            json_stringn(f->positions.name.data, f->positions.name.length));
    for (int part = 0; part < CACHE_PARTS && interface_has_cache(f); part++)
        json_object_set_new(json, parts[part], json_stringn(f->cache[part].data, f->cache[part].length));
    return json;
}

static json_t *metadata_json(const struct metadata *metadata)
{
    json_t *json = json_object();
    for (uint32_t i = 0; i < metadata->entries.count; i++) {
        const struct metadata_entry *entry = &metadata->entries.items[i];
        json_object_setn_new(json, entry->key.data, entry->key.length,
                             json_stringn(entry->text.data, entry->text.length));
    }
    return json;
}

static void print_as_json(const struct graph *graph, const struct classes *classes)
{
    const struct shape *s = &classes->shape;
    json_t *list = json_array(), *refused = json_array();
    for (uint32_t i = 0; i < classes->count; i++) {
        const struct prunable *c = &classes->items[i];
        json_array_append_new(list, class_json(c));
        if (c->exactness == REFUSED)
            json_array_append_new(refused, json_pack("{s:s,s:s}", "name", c->name, "reason", c->reason));
    }
    print_json(json_pack("{s:i,s:I,s:o,s:o,s:o,s:o,s:I,s:I,s:b,s:o,s:o,s:o,s:o}", "layers", (int)s->layers,
                         "hidden", (json_int_t)s->hidden, "heads", sizes_json(s->heads, s->layers),
                         "kv_heads", sizes_json(s->kv_heads, s->layers), "head_dim",
                         sizes_json(s->head_dim, s->layers), "ffn", sizes_json(s->ffn, s->layers), "vocab",
                         (json_int_t)s->vocab, "parameters", (json_int_t)s->parameters, "tied", s->tied,
                         "classes", list, "refused", refused, "interface", interface_json(&graph->interface),
                         "metadata", metadata_json(&graph->metadata)));
}

static void print_sizes(const char *label, const int64_t *sizes, uint32_t layers)
{
    int64_t size;
    printf("%-12s", label);
    if (shape_is_uniform(sizes, layers, &size)) {
        printf(" %lld\n", (long long)size);
        return;
    }
    for (uint32_t i = 0; i < layers; i++)
        printf(" %lld", (long long)sizes[i]);
    printf("\n");
}

static void print_input(const char *what, struct str name)
{
    if (name.length > 0)
        printf("%-12s " STR_FORMAT "\n", what, STR_ARGUMENT(name));
}

/* The first line of a text, or its beginning. */
static void print_entry(const struct metadata_entry *entry)
{
    enum { MOST_SHOWN = 72 };
    const char *line_end = memchr(entry->text.data, '\n', entry->text.length);
    struct str shown = {entry->text.data,
                        line_end ? (size_t)(line_end - entry->text.data) : entry->text.length};
    if (shown.length > MOST_SHOWN) /* between characters */
        shown.length = utf8_step_back(shown.data, MOST_SHOWN + 1);
    size_t whole = entry->text.length - str_ends_with(entry->text, "\n");
    struct builder line = {0};
    builder_printf(&line, STR_FORMAT " = " STR_FORMAT "%s", STR_ARGUMENT(entry->key), STR_ARGUMENT(shown),
                   shown.length < whole ? " ..." : "");
    str_make_printable(line.data, "");
    printf("%-12s %s\n", "metadata", line.data);
    builder_release(&line);
}

/* Only where the model's file had more than tokens and logits, and said something of itself. */
static void print_description(const struct graph *graph)
{
    const struct interface *f = &graph->interface;
    print_input("mask", f->mask.name);
    print_input("positions", f->positions.name);
    if (interface_has_cache(f))
        printf("%-12s " STR_FORMAT ", " STR_FORMAT "\n", "cache", STR_ARGUMENT(f->cache[PAST_KEY]),
               STR_ARGUMENT(f->cache[PAST_VALUE]));
    for (uint32_t i = 0; i < graph->metadata.entries.count; i++)
        print_entry(&graph->metadata.entries.items[i]);
}

static void print_as_text(const struct graph *graph, const struct classes *classes)
{
    const struct shape *s = &classes->shape;
    printf("layers       %u\nhidden       %lld\n", s->layers, (long long)s->hidden);
    print_sizes("heads", s->heads, s->layers);
    print_sizes("kv_heads", s->kv_heads, s->layers);
    print_sizes("head_dim", s->head_dim, s->layers);
    print_sizes("ffn", s->ffn, s->layers);
    printf("vocab        %lld\nparameters   %lld\ntied         %s\n", (long long)s->vocab,
           (long long)s->parameters, s->tied ? "yes" : "no");
    print_description(graph);
    printf("\n%-24s %8s %9s  %-14s %s\n", "class", "size", "carriers", "pruning it is", "facts");
    for (uint32_t i = 0; i < classes->count; i++) {
        const struct prunable *c = &classes->items[i];
        printf("%-24s %8lld %9u  %-14s %s\n", c->name, (long long)c->size, c->carrier_count,
               exactness_name(c->exactness), c->facts);
        if (c->exactness == REFUSED)
            printf("    %s\n", c->reason);
    }
}

static enum status inspect_scores(const struct command *command, const struct source_options *options,
                                  struct trace *trace)
{
    struct arena arena = {0};
    struct scores scores;
    enum status status = scores_source_open(&scores, &arena, command->arguments[0], options, trace);
    if (status == OK)
        scores_view_print(command, &scores);
    arena_release(&arena);
    return status;
}

enum status command_inspect(struct command *command, struct trace *trace)
{
    struct model_source source;
    struct source_options options = command_source(command);
    options.use = IMPORT_TO_LOOK;
    if (scores_source_is(command->arguments[0], &options))
        return inspect_scores(command, &options, trace);
    TRY(model_source_open(&source, command->arguments[0], &options, trace));
    struct arena arena = {0};
    struct classes classes;
    for (uint32_t i = 0; i < source.imported.notes.count; i++)
        log_note("note: " STR_FORMAT, STR_ARGUMENT(source.imported.notes.items[i]));
    enum status status = classes_find(&classes, &arena, source.graph, trace);
    if (status == OK && command_is_json(command))
        print_as_json(source.graph, &classes);
    else if (status == OK)
        print_as_text(source.graph, &classes);
    arena_release(&arena);
    model_source_release(&source);
    return status;
}
