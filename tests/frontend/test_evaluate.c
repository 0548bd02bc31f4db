/* Operators on small arrays, against results worked out by hand from the operators' specifications. */
#include "frontend/evaluate.h"
#include "tests/support/test.h"
#include <math.h>

static struct trace trace;

struct bench {
    struct arena arena;
    struct array_room room;
    Onnx__NodeProto node;
    Onnx__AttributeProto attributes[4], *pointers[4];
    struct evaluation e;
};

static void bench_create(struct bench *b)
{
    memset(b, 0, sizeof *b);
    b->room.arena = &b->arena;
    onnx__node_proto__init(&b->node);
    b->node.attribute = b->pointers;
    b->e = (struct evaluation){.room = &b->room, .node = &b->node, .output_count = 1, .trace = &trace};
}

static Onnx__AttributeProto *attribute(struct bench *b, const char *name, int64_t value)
{
    Onnx__AttributeProto *a = &b->attributes[b->node.n_attribute];
    onnx__attribute_proto__init(a);
    a->name = (char *)name;
    a->i = value;
    b->pointers[b->node.n_attribute++] = a;
    return a;
}

static struct array *input(struct bench *b, int32_t type, uint32_t rank, const int64_t *dims,
                           const double *values)
{
    struct array *array;
    assert_ok(array_create(&array, &b->room, type, rank, dims, &trace), &trace);
    if (array->count > 0)
        memcpy(array->data, values, (size_t)array->count * sizeof *values);
    b->e.inputs[b->e.input_count++] = array;
    return array;
}

#define DIMS(...)                                           \
    sizeof((int64_t[]){__VA_ARGS__}) / 8, (const int64_t[]) \
    {                                                       \
        __VA_ARGS__                                         \
    }
#define VALUES(...) ((const double[]){__VA_ARGS__})

static void expect(struct bench *b, uint32_t rank, const int64_t *dims, const double *values)
{
    const struct array *out = b->e.outputs[0];
    assert_int_equal(out->rank, rank);
    for (uint32_t i = 0; i < rank; i++)
        assert_int_equal(out->dims[i], dims[i]);
    for (int64_t i = 0; i < out->count; i++)
        if (!(out->data[i] == values[i]))
            fail_msg("element %d is %g, expected %g", (int)i, out->data[i], values[i]);
    arena_release(&b->arena);
}

static void broadcasts_both_operands(void **state)
{
    (void)state;
    struct bench b;
    bench_create(&b);
    input(&b, ONNX_INT64, DIMS(2, 1), VALUES(10, 20));
    input(&b, ONNX_INT64, DIMS(3), VALUES(1, 2, 3));
    assert_ok(evaluate_Add(&b.e), &trace);
    expect(&b, DIMS(2, 3), VALUES(11, 12, 13, 21, 22, 23));
    bench_create(&b);
    input(&b, ONNX_INT64, DIMS(2), VALUES(1, 2));
    input(&b, ONNX_INT64, DIMS(3), VALUES(1, 2, 3));
    assert_fails(evaluate_Add(&b.e), INVALID, &trace, "broadcast");
    arena_release(&b.arena);
}

static void divides_integers_towards_zero(void **state)
{
    (void)state;
    struct bench b;
    bench_create(&b);
    input(&b, ONNX_INT64, DIMS(4), VALUES(7, -7, 8, 1));
    input(&b, ONNX_INT64, DIMS(1), VALUES(2));
    assert_ok(evaluate_Div(&b.e), &trace);
    expect(&b, DIMS(4), VALUES(3, -3, 4, 0));
}

static void rounds_to_single_precision(void **state)
{
    (void)state;
    struct bench b;
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(1), VALUES(1));
    input(&b, ONNX_FLOAT, DIMS(1), VALUES(3));
    assert_ok(evaluate_Div(&b.e), &trace);
    expect(&b, DIMS(1), VALUES((double)(1.0f / 3.0f)));
}

static void slices_with_every_sign(void **state)
{
    (void)state;
    const double row[] = {0, 1, 2, 3, 4, 5};
    const struct {
        double start, end, step;
        int64_t count;
        double values[6];
    } cases[] = {{1, 4, 1, 3, {1, 2, 3}},
                 {-2, 1e30, 1, 2, {4, 5}},
                 {0, -1, 2, 3, {0, 2, 4}},
                 {-1, -7, -1, 6, {5, 4, 3, 2, 1, 0}},
                 {5, 0, -2, 3, {5, 3, 1}},
                 {4, 2, 1, 0, {0}},
                 {-100, 100, 1, 6, {0, 1, 2, 3, 4, 5}},
                 {3, -1e30, -1, 4, {3, 2, 1, 0}}};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench b;
        bench_create(&b);
        input(&b, ONNX_FLOAT, DIMS(6), row);
        input(&b, ONNX_INT64, DIMS(1), &cases[i].start);
        input(&b, ONNX_INT64, DIMS(1), &cases[i].end);
        input(&b, ONNX_INT64, DIMS(1), VALUES(0));
        input(&b, ONNX_INT64, DIMS(1), &cases[i].step);
        assert_ok(evaluate_Slice(&b.e), &trace);
        expect(&b, DIMS(cases[i].count), cases[i].values);
    }
}

static void reshapes_with_copies_and_one_inferred_size(void **state)
{
    (void)state;
    struct bench b;
    const double values[] = {0, 1, 2, 3, 4, 5};
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(2, 3), values);
    input(&b, ONNX_INT64, DIMS(3), VALUES(0, 1, -1));
    assert_ok(evaluate_Reshape(&b.e), &trace);
    expect(&b, DIMS(2, 1, 3), values);
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(2, 3), values);
    input(&b, ONNX_INT64, DIMS(2), VALUES(4, -1));
    assert_fails(evaluate_Reshape(&b.e), INVALID, &trace, "cannot take the shape");
    arena_release(&b.arena);
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(2, 3), values);
    input(&b, ONNX_INT64, DIMS(2), VALUES(-1, -1));
    assert_fails(evaluate_Reshape(&b.e), INVALID, &trace, "the size -1");
    arena_release(&b.arena);
}

static void transposes_gathers_and_joins(void **state)
{
    (void)state;
    struct bench b;
    const double values[] = {0, 1, 2, 3, 4, 5};
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(2, 3), values);
    assert_ok(evaluate_Transpose(&b.e), &trace); /* reverses without a permutation */
    expect(&b, DIMS(3, 2), VALUES(0, 3, 1, 4, 2, 5));
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(2, 3), values);
    input(&b, ONNX_INT64, DIMS(2), VALUES(2, -3));
    attribute(&b, "axis", 1);
    assert_ok(evaluate_Gather(&b.e), &trace);
    expect(&b, DIMS(2, 2), VALUES(2, 0, 5, 3));
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(2, 3), values);
    input(&b, ONNX_INT64, DIMS(1), VALUES(3));
    attribute(&b, "axis", 1);
    assert_fails(evaluate_Gather(&b.e), INVALID, &trace, "out of range");
    arena_release(&b.arena);
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(2, 1), VALUES(1, 2));
    input(&b, ONNX_FLOAT, DIMS(2, 0), values);
    input(&b, ONNX_FLOAT, DIMS(2, 2), VALUES(3, 4, 5, 6));
    attribute(&b, "axis", -1);
    assert_ok(evaluate_Concat(&b.e), &trace);
    expect(&b, DIMS(2, 3), VALUES(1, 3, 4, 2, 5, 6));
}

static void cuts_triangles(void **state)
{
    (void)state;
    struct bench b;
    const double values[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(3, 3), values);
    input(&b, ONNX_INT64, 0, NULL, VALUES(1));
    assert_ok(evaluate_Trilu(&b.e), &trace);
    expect(&b, DIMS(3, 3), VALUES(0, 2, 3, 0, 0, 6, 0, 0, 0));
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(3, 3), values);
    attribute(&b, "upper", 0);
    assert_ok(evaluate_Trilu(&b.e), &trace);
    expect(&b, DIMS(3, 3), VALUES(1, 0, 0, 4, 5, 0, 7, 8, 9));
}

static void counts_reduces_and_multiplies(void **state)
{
    (void)state;
    struct bench b;
    bench_create(&b);
    input(&b, ONNX_FLOAT, 0, NULL, VALUES(1));
    input(&b, ONNX_FLOAT, 0, NULL, VALUES(2.5));
    input(&b, ONNX_FLOAT, 0, NULL, VALUES(0.5));
    assert_ok(evaluate_Range(&b.e), &trace);
    expect(&b, DIMS(3), VALUES(1, 1.5, 2));
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(2, 3), VALUES(1, 2, 3, 4, 5, 6));
    input(&b, ONNX_INT64, DIMS(1), VALUES(-1));
    attribute(&b, "keepdims", 0);
    assert_ok(evaluate_ReduceMean(&b.e), &trace);
    expect(&b, DIMS(2), VALUES(2, 5));
    bench_create(&b);
    input(&b, ONNX_FLOAT, DIMS(2, 2), VALUES(1, 2, 3, 4));
    input(&b, ONNX_FLOAT, DIMS(2, 2, 1), VALUES(1, 1, 2, 0));
    assert_ok(evaluate_MatMul(&b.e), &trace);
    expect(&b, DIMS(2, 2, 1), VALUES(3, 7, 2, 6));
    bench_create(&b);
    input(&b, ONNX_INT64, DIMS(2, 3), VALUES(0, 7, 0, 8, 0, 9));
    assert_ok(evaluate_NonZero(&b.e), &trace);
    expect(&b, DIMS(2, 3), VALUES(0, 1, 1, 1, 0, 2));
    bench_create(&b);
    input(&b, ONNX_INT64, DIMS(2), VALUES(0, 0));
    assert_ok(evaluate_NonZero(&b.e), &trace);
    expect(&b, DIMS(1, 0), VALUES(0));
    bench_create(&b);
    input(&b, ONNX_INT64, 0, NULL, VALUES(1));
    assert_fails(evaluate_NonZero(&b.e), UNSUPPORTED, &trace, "a number has no axes");
    arena_release(&b.arena);
    bench_create(&b);
    input(&b, ONNX_INT64, DIMS(2, 3), VALUES(1, 2, 3, 4, 5, 6));
    input(&b, ONNX_INT64, 0, NULL, VALUES(1));
    assert_ok(evaluate_CumSum(&b.e), &trace);
    expect(&b, DIMS(2, 3), VALUES(1, 3, 6, 4, 9, 15));
}

static void remembers_the_angles_of_cosines(void **state)
{
    (void)state;
    struct bench b;
    bench_create(&b);
    const struct array *angles = input(&b, ONNX_FLOAT, DIMS(2), VALUES(0, 0.5));
    assert_ok(evaluate_Cos(&b.e), &trace);
    assert_int_equal(b.e.outputs[0]->function, ARRAY_COSINE);
    assert_ptr_equal(b.e.outputs[0]->angle, angles);
    /* times one keeps them, times two does not */
    for (int factor = 1; factor <= 2; factor++) {
        struct evaluation e = b.e;
        struct array *number;
        assert_ok(array_create(&number, &b.room, ONNX_FLOAT, 0, NULL, &trace), &trace);
        number->data[0] = factor;
        e.inputs[0] = number;
        e.inputs[1] = b.e.outputs[0];
        e.input_count = 2;
        assert_ok(evaluate_Mul(&e), &trace);
        assert_int_equal(e.outputs[0]->function, factor == 1 ? ARRAY_COSINE : ARRAY_PLAIN);
    }
    arena_release(&b.arena);
}

static void refuses_casts_to_what_it_cannot_hold(void **state)
{
    (void)state;
    static const struct {
        int32_t type;
        const char *words;
    } cases[] = {{8, "a cast to STRING is not supported"},
                 {14, "a cast to COMPLEX64 is not supported"},
                 {15, "a cast to COMPLEX128 is not supported; torch.onnx's older exporter"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b;
        bench_create(&b);
        input(&b, ONNX_INT64, DIMS(2), VALUES(1, 2));
        attribute(&b, "to", cases[i].type);
        trace = (struct trace){0};
        assert_fails(evaluate_Cast(&b.e), UNSUPPORTED, &trace, cases[i].words);
        arena_release(&b.arena);
    }
}

static void refuses_sizes_that_overflow(void **state)
{
    (void)state;
    struct bench b;
    struct array *array;
    const int64_t huge[] = {1 << 20, 1 << 20}, empty[] = {0, INT64_MAX, INT64_MAX}, negative[] = {-1};
    bench_create(&b);
    assert_fails(array_create(&array, &b.room, ONNX_FLOAT, 2, huge, &trace), UNSUPPORTED, &trace,
                 "too large");
    assert_fails(array_create(&array, &b.room, ONNX_FLOAT, 3, empty, &trace), UNSUPPORTED, &trace,
                 "too large");
    assert_fails(array_create(&array, &b.room, ONNX_FLOAT, 1, negative, &trace), INVALID, &trace, "negative");
    arena_release(&b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasts_both_operands),
        cmocka_unit_test(divides_integers_towards_zero),
        cmocka_unit_test(rounds_to_single_precision),
        cmocka_unit_test(slices_with_every_sign),
        cmocka_unit_test(reshapes_with_copies_and_one_inferred_size),
        cmocka_unit_test(transposes_gathers_and_joins),
        cmocka_unit_test(cuts_triangles),
        cmocka_unit_test(counts_reduces_and_multiplies),
        cmocka_unit_test(remembers_the_angles_of_cosines),
        cmocka_unit_test(refuses_casts_to_what_it_cannot_hold),
        cmocka_unit_test(refuses_sizes_that_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
