/* See emit/safetensors.h. */
#include "emit/safetensors.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_entry *)a)->name, ((const struct safetensors_entry *)b)->name);
}

static uint64_t entry_bytes(const struct safetensors_entry *entry)
{
    int64_t count = entry->view ? tensor_view_count(entry->view) : entry->zeros;
    return (uint64_t)count * sizeof(float);
}

static void add_header(struct builder *header, const struct safetensors_entry *entry, uint64_t start)
{
    builder_printf(header, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", entry->name);
    if (!entry->view)
        builder_printf(header, "%" PRId64, entry->zeros);
    for (uint32_t a = 0; entry->view && a < entry->view->rank; a++)
        builder_printf(header, "%s%" PRId64, a > 0 ? "," : "", entry->view->dims[a]);
    builder_printf(header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", start,
                   start + entry_bytes(entry));
}

static enum status write_header(struct output_file *file, const struct safetensors_entry *entries,
                                uint32_t count, struct trace *trace)
{
    struct builder header = {0};
    builder_add_text(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (uint64_t i = 0, start = 0; i < count; start += entry_bytes(&entries[i++]))
        add_header(&header, &entries[i], start);
    builder_add_text(&header, "}");
    while (header.length % 8 != 0)
        builder_add_text(&header, " ");
    uint64_t length = header.length; /* stored little endian, as everything here */
    enum status status = output_add(file, &length, sizeof length, trace);
    if (status == OK)
        status = output_add(file, header.data, header.length, trace);
    builder_release(&header);
    return status;
}

enum status safetensors_write(struct output_file *file, struct safetensors_entry *entries, uint32_t count,
                              struct trace *trace)
{
    qsort(entries, count, sizeof *entries, compare_names);
    TRY(write_header(file, entries, count, trace));
    for (uint32_t i = 0; i < count; i++) {
        const struct safetensors_entry *entry = &entries[i];
        TRY_WITH(trace,
                 entry->view ? output_add_weight(file, entry->view, entry->factor, &encoding_f32, trace)
                             : output_pad(file, entry_bytes(entry), trace),
                 "while writing the weight %s", entry->name);
    }
    return OK;
}
