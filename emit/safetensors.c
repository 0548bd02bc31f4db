/* See emit/safetensors.h. */
#include "emit/safetensors.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_entry *)a)->name, ((const struct safetensors_entry *)b)->name);
}

uint64_t safetensors_bytes(const struct safetensors_entry *entry)
{
    return (uint64_t)entry->dims[0] * (uint64_t)(entry->rank > 1 ? entry->dims[1] : 1) * sizeof(float);
}

static void add_header(struct builder *header, const struct safetensors_entry *entry, uint64_t start)
{
    builder_printf(header, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", entry->name);
    for (uint32_t a = 0; a < entry->rank; a++)
        builder_printf(header, "%s%" PRId64, a > 0 ? "," : "", entry->dims[a]);
    builder_printf(header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", start,
                   start + safetensors_bytes(entry));
}

static enum status write_header(struct output_file *file, const struct safetensors_entry *entries,
                                uint32_t count, struct trace *trace)
{
    struct builder header = {0};
    builder_add_text(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (uint64_t i = 0, start = 0; i < count; start += safetensors_bytes(&entries[i++]))
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

static enum status write_entry(struct output_file *file, const struct safetensors_entry *entry,
                               struct trace *trace)
{
    uint64_t start = output_length(file);
    for (uint32_t i = 0; i < entry->piece_count; i++) {
        const struct safetensors_piece *piece = &entry->pieces[i];
        if (piece->view.rank == 0)
            TRY(output_pad(file, (uint64_t)piece->zeros * sizeof(float), trace));
        else
            TRY(output_add_weight(file, &piece->view, piece->factor, &encoding_f32, trace));
    }
    assert(output_length(file) - start == safetensors_bytes(entry));
    return OK;
}

void safetensors_sort(struct safetensors_entry *entries, uint32_t count)
{
    qsort(entries, count, sizeof *entries, compare_names);
}

enum status safetensors_write(struct output_file *file, const struct safetensors_entry *entries,
                              uint32_t count, struct trace *trace)
{
    TRY(write_header(file, entries, count, trace));
    for (uint32_t i = 0; i < count; i++)
        TRY_WITH(trace, write_entry(file, &entries[i], trace), "while writing the weight %s",
                 entries[i].name);
    return OK;
}
