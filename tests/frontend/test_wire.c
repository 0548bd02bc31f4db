/* The wire scanner against broken protobuf. Expected outcomes are those of the encoding's specification. */
#include "frontend/wire.h"
#include "tests/support/onnx_llama.h"
#include "tests/support/test.h"

static struct trace trace;

static enum status scan(const void *bytes, size_t length)
{
    struct builder out = {0};
    struct wire_dropped dropped;
    enum status status = wire_scan(&out, &dropped, bytes, length, &trace);
    builder_release(&out);
    return status;
}

#define SCAN(...) scan((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void reads_varints_of_one_to_ten_bytes(void **state)
{
    (void)state;
    const uint8_t one[] = {0}, most[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    const uint8_t *at = one;
    uint64_t value = 7;
    assert_true(wire_read_varint(&at, one + 1, &value));
    assert_int_equal(value, 0);
    assert_ptr_equal(at, one + 1);
    at = most;
    assert_true(wire_read_varint(&at, most + 10, &value));
    assert_true(value == UINT64_MAX);
}

static void rejects_varints_that_are_too_long_or_cut_off(void **state)
{
    (void)state;
    const uint8_t eleven[] = {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0};
    const uint8_t wide[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2};
    const uint8_t cut[] = {128};
    uint64_t value;
    const uint8_t *at = eleven;
    assert_false(wire_read_varint(&at, eleven + sizeof eleven, &value));
    at = wide;
    assert_false(wire_read_varint(&at, wide + sizeof wide, &value));
    at = cut;
    assert_false(wire_read_varint(&at, cut + 1, &value));
    at = cut;
    assert_false(wire_read_varint(&at, cut, &value));
}

static void drops_unknown_fields_of_every_wire_type(void **state)
{
    (void)state;
    struct builder out = {0};
    struct wire_dropped dropped;
    const uint8_t bytes[] = {
        0xf8, 0x06, 1,                      /* field 111, varint */
        0xf9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, /* fixed64 */
        0xfa, 0x06, 2, 9, 9,                /* bytes */
        0xfd, 0x06, 1, 2, 3, 4,             /* fixed32 */
        0x08, 8,                            /* ir_version */
    };
    assert_ok(wire_scan(&out, &dropped, bytes, sizeof bytes, &trace), &trace);
    assert_int_equal(out.length, 2);
    assert_memory_equal(out.data, bytes + sizeof bytes - 2, 2);
    builder_release(&out);
}

static void rejects_broken_fields(void **state)
{
    (void)state;
    assert_fails(SCAN(0x00, 0x00), INVALID, &trace, "number is out of range");
    assert_fails(SCAN(0x0b), INVALID, &trace, "group"); /* start group */
    assert_fails(SCAN(0x0c), INVALID, &trace, "group"); /* end group */
    assert_fails(SCAN(0x0e), INVALID, &trace, "group or of unknown wire type");
    assert_fails(SCAN(0x08), INVALID, &trace, "cut off");
    assert_fails(SCAN(0x80), INVALID, &trace, "tag is cut off");
    assert_fails(SCAN(0x12, 5, 'a'), INVALID, &trace, "longer than what contains it");
    assert_fails(SCAN(0x0d, 1, 2, 3), INVALID, &trace, "longer than what contains it");
    assert_fails(SCAN(0x0a, 0), INVALID, &trace, "wrong wire type"); /* ir_version as bytes */
    assert_fails(SCAN(0x38, 1), INVALID, &trace, "wrong wire type"); /* graph as a number */
    assert_fails(SCAN(0x12, 3, 'a', 0, 'b'), INVALID, &trace, "NUL");
    assert_fails(SCAN(0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), INVALID, &trace,
                 "longer than");
}

static void rejects_messages_that_protobuf_would_merge(void **state)
{
    (void)state;
    assert_fails(SCAN(0x3a, 0, 0x3a, 0), INVALID, &trace, "comes twice");
    assert_fails(SCAN(0x08, 8, 0x08, 8), INVALID, &trace, "comes twice");
}

static struct builder wrap(uint32_t field, struct builder inner)
{
    struct builder out = {0};
    proto_bytes(&out, field, builder_text(&inner), inner.length);
    builder_release(&inner);
    return out;
}

/* Attributes that hold graphs that hold nodes ...: the bomb that overflows the stack of a recursive unpacker.
 */
static void survives_nesting_bombs(void **state)
{
    (void)state;
    struct builder b = {0};
    for (int i = 0; i < 2000; i++)
        b = wrap(1, wrap(5, wrap(6, b))); /* graph.node.attribute.g */
    b = wrap(7, b);
    assert_ok(scan(b.data, b.length), &trace);
    builder_release(&b);
}

static void refuses_floods_of_messages(void **state)
{
    (void)state;
    enum { NODES = WIRE_MAX_MESSAGES + 1 };
    struct builder b = {0};
    char *nodes = malloc(2 * (size_t)NODES);
    for (size_t i = 0; i < NODES; i++) {
        nodes[2 * i] = 0x0a;
        nodes[2 * i + 1] = 0;
    }
    proto_bytes(&b, 7, nodes, 2 * (size_t)NODES);
    free(nodes);
    assert_fails(scan(b.data, b.length), INVALID, &trace, "4 million messages");
    builder_release(&b);
}

static void refuses_floods_of_names(void **state)
{
    (void)state;
    enum { NAME = 33 << 20 };
    struct builder node = {0}, b;
    char *name = malloc(NAME);
    memset(name, 'x', NAME);
    proto_bytes(&node, 1, name, NAME);
    proto_bytes(&node, 2, name, NAME);
    free(name);
    b = wrap(7, wrap(1, node));
    assert_fails(scan(b.data, b.length), INVALID, &trace, "64 MiB of names");
    builder_release(&b);
}

/* Documentation and properties of nodes, whatever they hold; those of the model are copied. */
static void counts_what_nodes_say_of_themselves(void **state)
{
    (void)state;
    struct builder node = {0}, model = {0}, out = {0};
    struct wire_dropped dropped;
    proto_bytes(&node, 6, "/home/somebody", 14);
    proto_bytes(&node, 9, "\xff", 1);
    proto_bytes(&node, 9, "", 0);
    model = wrap(7, wrap(1, node));
    proto_bytes(&model, 6, "A\0B", 3);
    assert_ok(wire_scan(&out, &dropped, (const uint8_t *)model.data, model.length, &trace), &trace);
    assert_int_equal(dropped.documented_nodes, 1);
    assert_int_equal(dropped.node_properties, 2);
    assert_null(memmem(out.data, out.length, "somebody", 8));
    assert_non_null(memmem(out.data, out.length, "A\0B", 3));
    builder_release(&model);
    builder_release(&out);
}

static void replaces_tensor_data_by_its_place(void **state)
{
    (void)state;
    enum { LENGTH = 100000 };
    struct builder tensor = {0}, out = {0}, b;
    struct wire_dropped dropped;
    char *data = calloc(1, LENGTH);
    proto_integer(&tensor, 2, 1);
    proto_bytes(&tensor, 9, data, LENGTH);
    free(data);
    b = wrap(7, wrap(5, tensor));
    assert_ok(wire_scan(&out, &dropped, (const uint8_t *)b.data, b.length, &trace), &trace);
    assert_true(out.length < 40);
    builder_release(&out);
    builder_release(&b);
}

static void refuses_tensor_data_given_twice(void **state)
{
    (void)state;
    struct builder tensor = {0}, b;
    proto_text(&tensor, 9, "abcd");
    proto_text(&tensor, 4, "abcd");
    b = wrap(7, wrap(5, tensor));
    assert_fails(scan(b.data, b.length), INVALID, &trace, "comes twice");
    builder_release(&b);
    tensor = (struct builder){0};
    proto_integer(&tensor, 7, 1);
    b = wrap(7, wrap(5, tensor));
    assert_fails(scan(b.data, b.length), UNSUPPORTED, &trace, "not packed");
    builder_release(&b);
}

static void refuses_what_it_does_not_read(void **state)
{
    (void)state;
    struct builder field = {0}, b;
    proto_text(&field, 6, "a string");
    b = wrap(7, wrap(5, field));
    assert_fails(scan(b.data, b.length), UNSUPPORTED, &trace, "strings");
    builder_release(&b);
    b = wrap(7, wrap(15, (struct builder){0}));
    assert_fails(scan(b.data, b.length), UNSUPPORTED, &trace, "sparse");
    builder_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_varints_of_one_to_ten_bytes),
        cmocka_unit_test(rejects_varints_that_are_too_long_or_cut_off),
        cmocka_unit_test(drops_unknown_fields_of_every_wire_type),
        cmocka_unit_test(rejects_broken_fields),
        cmocka_unit_test(rejects_messages_that_protobuf_would_merge),
        cmocka_unit_test(survives_nesting_bombs),
        cmocka_unit_test(refuses_floods_of_messages),
        cmocka_unit_test(refuses_floods_of_names),
        cmocka_unit_test(counts_what_nodes_say_of_themselves),
        cmocka_unit_test(replaces_tensor_data_by_its_place),
        cmocka_unit_test(refuses_tensor_data_given_twice),
        cmocka_unit_test(refuses_what_it_does_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
