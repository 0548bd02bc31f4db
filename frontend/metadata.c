/* See frontend/metadata.h. */
#include "frontend/metadata.h"
#include "frontend/onnx_file.h"
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* A note is for people: of many names the first are enough. */
enum { LIST_LIMIT = 1000 };

static void add_name(struct builder *list, const char *format, va_list arguments)
{
    char text[256];
    if (list->length >= LIST_LIMIT) {
        if (!str_ends_with((struct str){list->data, list->length}, ", ..."))
            builder_add_text(list, ", ...");
        return;
    }
    vsnprintf(text, sizeof text, format, arguments);
    builder_printf(list, "%s%s", list->length > 0 ? ", " : "", text);
}

static void keep(struct metadata_reader *reader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_name(&reader->kept, format, arguments);
    va_end(arguments);
}

void metadata_drop(struct metadata_reader *reader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_name(&reader->dropped, format, arguments);
    va_end(arguments);
}

static bool is_text(struct str text)
{
    json_t *json = json_stringn(text.data, text.length); /* NULL unless it is UTF-8 */
    bool valid = json && !memchr(text.data, 0, text.length);
    json_decref(json);
    return valid;
}

void metadata_read(struct metadata_reader *reader, struct str key, struct str text)
{
    struct graph *graph = reader->model->graph;
    const char *why = NULL;
    if (text.length == 0)
        return;
    if (key.length == 0 || key.length > 256 || !is_text(key) || !is_text(text))
        why = "no text";
    else if (text.length > METADATA_MAX_TEXT)
        why = "too long";
    else if (graph->metadata.entries.count >= METADATA_MAX_ENTRIES)
        why = "one too many";
    else if (!metadata_add(&graph->metadata, &graph->arena, key, text))
        why = "again";
    if (why) {
        metadata_drop(reader, "%.*s (%s)", key.length > 64 ? 64 : (int)key.length, key.data, why);
        return;
    }
    keep(reader, STR_FORMAT, STR_ARGUMENT(key));
}

static void add_note(struct metadata_reader *reader, const char *what, const struct builder *list)
{
    if (list->length > 0)
        imported_model_note(reader->model, "%s: %s", what, builder_text(list));
}

void metadata_finish(struct metadata_reader *reader)
{
    add_note(reader, "metadata kept", &reader->kept);
    add_note(reader, "metadata dropped", &reader->dropped);
    builder_release(&reader->kept);
    builder_release(&reader->dropped);
}

/* ---- ONNX ---- */

static struct str text_of(const char *text)
{
    return str_from(text ? text : "");
}

/* An export has espalier's name there, so that of another program is dropped. */
static void read_producer(struct metadata_reader *reader, const Onnx__ModelProto *proto)
{
    const char *name = proto->producer_name ? proto->producer_name : "",
               *version = proto->producer_version ? proto->producer_version : "";
    if (*name && strcmp(name, "espalier") != 0)
        metadata_drop(reader, "producer %.64s%s%.64s", name, *version ? " " : "", version);
}

static void read_operator_sets(struct metadata_reader *reader, const Onnx__ModelProto *proto)
{
    for (size_t i = 0; i < proto->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *opset = proto->opset_import[i];
        if (opset->domain && *opset->domain && strcmp(opset->domain, "ai.onnx") != 0)
            metadata_drop(reader, "operator set %.64s %" PRId64, opset->domain, opset->version);
    }
}

void metadata_read_onnx(struct imported_model *model, const struct onnx_file *file)
{
    struct metadata_reader reader = {.model = model};
    const Onnx__ModelProto *proto = file->proto;
    const Onnx__GraphProto *graph = proto->graph;
    metadata_read(&reader, STR(METADATA_DOCUMENTATION), text_of(proto->doc_string));
    metadata_read(&reader, STR(METADATA_DOMAIN), text_of(proto->domain));
    if (proto->has_model_version && proto->model_version != 0)
        metadata_read(&reader, STR(METADATA_VERSION),
                      str_from(arena_printf(&model->arena, "%" PRId64, proto->model_version)));
    read_producer(&reader, proto);
    read_operator_sets(&reader, proto);
    for (size_t i = 0; i < proto->n_metadata_props; i++)
        metadata_read(&reader, text_of(proto->metadata_props[i]->key),
                      text_of(proto->metadata_props[i]->value));
    if (graph->doc_string && *graph->doc_string)
        metadata_drop(&reader, "the graph's doc_string");
    for (size_t i = 0; i < graph->n_metadata_props; i++)
        metadata_drop(&reader, "%.64s of the graph", text_of(graph->metadata_props[i]->key).data);
    if (file->dropped.documented_nodes > 0)
        metadata_drop(&reader, "doc_strings of %" PRIu64 " nodes", file->dropped.documented_nodes);
    if (file->dropped.node_properties > 0)
        metadata_drop(&reader, "%" PRIu64 " metadata_props of nodes", file->dropped.node_properties);
    metadata_finish(&reader);
}
