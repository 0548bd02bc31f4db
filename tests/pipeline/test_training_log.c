/* pipeline/training_log.c and event_file.c: lines that survive being cut off, records as TensorBoard has
 * them. */
#include "base/file.h"
#include "pipeline/training_log.h"
#include "tests/support/test.h"
#include <stdlib.h>
#include <string.h>

struct fixture {
    char *directory, *path, *events;
    struct trace trace;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->directory = test_directory_create();
    f->path = path_join(f->directory, "steps.jsonl");
    f->events = path_join(f->directory, "events");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    test_directory_remove(f->directory);
    free(f->path);
    free(f->events);
    free(f);
    return 0;
}

static void add_steps(struct fixture *f, uint64_t done, int first, int last)
{
    struct training_log log;
    assert_ok(training_log_open(&log, f->path, f->events, done, &f->trace), &f->trace);
    for (int step = first; step <= last; step++) {
        json_t *line = json_pack("{s:i, s:f, s:{s:f}, s:f}", "step", step, "loss", 0.5 * step, "losses", "ce",
                                 0.25, "time", 1700000000.5);
        assert_ok(training_log_add(&log, line, &f->trace), &f->trace);
    }
    training_log_close(&log);
}

static void assert_file(const struct fixture *f, const char *path, const void *expected, size_t size)
{
    struct builder text = {0};
    struct trace trace = f->trace;
    assert_ok(file_read(&text, path, 1 << 20, &trace), &trace);
    assert_int_equal(text.length, size);
    assert_memory_equal(text.data, expected, size);
    builder_release(&text);
}

#define LINE(step, loss) \
    "{\"loss\":" loss ",\"losses\":{\"ce\":0.25},\"step\":" step ",\"time\":1700000000.5}\n"

static void keeps_the_lines_before_a_checkpoint(void **state)
{
    struct fixture *f = *state;
    add_steps(f, 0, 1, 4);
    add_steps(f, 2, 3, 3);
    static const char expected[] = LINE("1", "0.5") LINE("2", "1.0") LINE("3", "1.5");
    assert_file(f, f->path, expected, sizeof expected - 1);
    add_steps(f, 0, 1, 1); /* from the start: nothing is kept */
    static const char one[] = LINE("1", "0.5");
    assert_file(f, f->path, one, sizeof one - 1);
}

static void drops_a_line_that_was_cut_off(void **state)
{
    struct fixture *f = *state;
    static const char cut[] = LINE("1", "0.5") "{\"loss\":1.0,\"los\n";
    assert_ok(file_write(f->path, cut, sizeof cut - 1, &f->trace), &f->trace);
    add_steps(f, 2, 3, 3);
    static const char expected[] = LINE("1", "0.5") LINE("3", "1.5");
    assert_file(f, f->path, expected, sizeof expected - 1);
}

/* The check value of CRC-32C and an example of RFC 3720, appendix B.4. */
static void has_the_crc_of_castagnoli(void **state)
{
    (void)state;
    static const uint8_t zeros[32];
    assert_int_equal(event_crc("123456789", 9), 0xe3069283);
    assert_int_equal(event_crc(zeros, sizeof zeros), 0x8a9136aa);
}

/* What tensorboard.summary.writer.record_writer.RecordWriter of TensorBoard 2 writes for the same numbers. */
static void writes_the_records_of_tensorboard(void **state)
{
    static const uint8_t expected[] = {
        0x0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x6d, 0x53, 0x2b, 0x09, 0x1a, 0x0d, 0x62, 0x72, 0x61,
        0x69, 0x6e, 0x2e, 0x45, 0x76, 0x65, 0x6e, 0x74, 0x3a, 0x32, 0xfc, 0x98, 0x51, 0x29, 0x2c, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0xf4, 0xae, 0xcc, 0x45, 0x09, 0x00, 0x00, 0x20, 0x40, 0xfc, 0x54, 0xd9,
        0x41, 0x10, 0x01, 0x2a, 0x1f, 0x0a, 0x0b, 0x0a, 0x04, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0x00, 0x00, 0x00,
        0x3f, 0x0a, 0x10, 0x0a, 0x09, 0x6c, 0x6f, 0x73, 0x73, 0x65, 0x73, 0x2f, 0x63, 0x65, 0x15, 0x00, 0x00,
        0x80, 0x3e, 0x2d, 0x88, 0x37, 0xd3, 0x2c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf4, 0xae, 0xcc,
        0x45, 0x09, 0x00, 0x00, 0x20, 0x40, 0xfc, 0x54, 0xd9, 0x41, 0x10, 0x02, 0x2a, 0x1f, 0x0a, 0x0b, 0x0a,
        0x04, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0x00, 0x00, 0x80, 0x3f, 0x0a, 0x10, 0x0a, 0x09, 0x6c, 0x6f, 0x73,
        0x73, 0x65, 0x73, 0x2f, 0x63, 0x65, 0x15, 0x00, 0x00, 0x80, 0x3e, 0x91, 0x12, 0xc7, 0xd4};
    struct fixture *f = *state;
    add_steps(f, 0, 1, 2);
    char *path = path_join(f->events, "events.out.tfevents.0.espalier");
    assert_file(f, path, expected, sizeof expected);
    add_steps(f, 1, 2, 2); /* made again from the lines that are kept */
    assert_file(f, path, expected, sizeof expected);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_the_lines_before_a_checkpoint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drops_a_line_that_was_cut_off, set_up, tear_down),
        cmocka_unit_test(has_the_crc_of_castagnoli),
        cmocka_unit_test_setup_teardown(writes_the_records_of_tensorboard, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
