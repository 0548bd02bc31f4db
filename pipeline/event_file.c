/* A record: length (8 bytes), masked CRC of the length, payload, masked CRC of the payload; all
 * little-endian. */
#include "pipeline/event_file.h"
#include "base/str.h"
#include "emit/wire_writer.h"
#include <errno.h>
#include <string.h>

uint32_t event_crc(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint32_t crc = ~UINT32_C(0);
    for (size_t i = 0; i < length; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static void add_little(struct builder *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        builder_add(out, &(const char){(char)(value >> 8 * i)}, 1);
}

/* Rotated and offset, so that a CRC of data that holds CRCs is no problem. */
static void add_masked_crc(struct builder *out, const void *bytes, size_t length)
{
    uint32_t crc = event_crc(bytes, length);
    add_little(out, (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8), 4);
}

static enum status write_record(struct event_file *file, const struct builder *event, struct trace *trace)
{
    struct builder record = {0};
    add_little(&record, event->length, 8);
    add_masked_crc(&record, builder_text(&record), record.length);
    builder_add(&record, builder_text(event), event->length);
    add_masked_crc(&record, builder_text(event), event->length);
    size_t written = fwrite(builder_text(&record), 1, record.length, file->file);
    bool is_good = written == record.length && fflush(file->file) == 0;
    builder_release(&record);
    return is_good ? OK : status_fail(trace, IO, "cannot write the event file: %s", strerror(errno));
}

enum status event_file_create(struct event_file *out, const char *path, struct trace *trace)
{
    struct builder event = {0};
    out->file = fopen(path, "wb");
    if (!out->file)
        return status_fail(trace, IO, "cannot create %s: %s", path, strerror(errno));
    wire_text(&event, 3, "brain.Event:2");
    enum status status = write_record(out, &event, trace);
    builder_release(&event);
    return status;
}

/* Event: 1 wall_time, 2 step, 5 summary. Summary: 1 value, repeated. Value: 1 tag, 2 simple_value. */
enum status event_file_add(struct event_file *file, double time, int64_t step,
                           const struct event_scalar *scalars, size_t count, struct trace *trace)
{
    if (!file->file)
        return OK;
    struct builder event = {0}, summary = {0}, value = {0};
    wire_double(&event, 1, time);
    wire_integer(&event, 2, step);
    for (size_t i = 0; i < count; i++) {
        builder_clear(&value);
        wire_text(&value, 1, scalars[i].tag);
        wire_float(&value, 2, (float)scalars[i].value);
        wire_message(&summary, 1, &value);
    }
    wire_message(&event, 5, &summary);
    enum status status = write_record(file, &event, trace);
    builder_release(&event);
    builder_release(&summary);
    builder_release(&value);
    return status;
}

void event_file_close(struct event_file *file)
{
    if (file->file)
        fclose(file->file);
    file->file = NULL;
}
