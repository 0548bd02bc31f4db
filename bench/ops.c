/* How fast single ops are, on the twin or on a Vulkan device: a row of standard input is an op, its
 * attributes and its operands' sizes, "attention heads=8 kv_heads=4 scale=0.25 causal=1 16x256x128 16x256x64
 * 16x256x64"; w before the sizes is a weight, # ids, drawn from [0, 16). bench/ops.py computes the same rows
 * in PyTorch.
 *
 *   bench/ops [-t THREADS] [-n golden|fast] [-d VULKAN_DEVICE] < bench/ops.txt
 *
 * Prints for each row, separated by tabs: the row, seconds a run, operations and bytes of a run (ir/work.h);
 * and before them the ceilings of the twin's threads: "ceiling", operations a second apart and fused, bytes a
 * second. */
#include "backend-cpu/cpu.h"
#include "backend-vulkan/vulkan.h"
#include "bench/ceiling.h"
#include "ir/build.h"
#include "ir/memory_plan.h"
#include "ir/work.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BINDINGS = NODE_MAX_INPUTS + NODE_MAX_RESULTS, IDS = 16 };

struct timed_op {
    struct executor *executor;
    struct program *program;
    struct graph *graph;
    struct binding bindings[MAX_BINDINGS];
    uint32_t binding_count;
    struct trace trace;
    enum status status;
};

/* ---- rows ---- */

/* One word of sizes: "4096x128", "w384x128". */
static bool read_axes(struct graph *graph, const char *word, uint32_t axes[VALUE_MAX_RANK], uint32_t *rank)
{
    *rank = 0;
    for (char *end; *rank < VALUE_MAX_RANK; word = end + 1) {
        int64_t size = strtoll(word, &end, 10);
        if (end == word || size < 1)
            return false;
        axes[(*rank)++] = dims_leaf(&graph->dims, size);
        if (*end != 'x')
            return *end == '\0';
    }
    return false;
}

static bool read_operand(struct graph *graph, const char *word, uint32_t slot, uint32_t *value)
{
    uint32_t axes[VALUE_MAX_RANK], rank;
    bool is_weight = *word == 'w', is_ids = *word == '#';
    if (!read_axes(graph, word + (is_weight || is_ids), axes, &rank))
        return false;
    if (is_weight) {
        struct tensor_view view = {.dtype = DTYPE_F32, .rank = rank};
        for (uint32_t a = 0; a < rank; a++)
            view.dims[a] = dims_size(&graph->dims, axes[a]);
        *value = build_tensor(graph, str_from("w"), &view, axes);
    } else {
        char name[16];
        snprintf(name, sizeof name, "x%" PRIu32, slot);
        *value = build_input(graph, name, is_ids ? DTYPE_I32 : DTYPE_F32, rank, axes);
    }
    return true;
}

static bool read_attribute(enum op op, struct attribute *attributes, const char *word)
{
    enum attribute_key keys[OP_MAX_ATTRIBUTES];
    uint32_t count = op_attributes(op, keys);
    const char *sign = strchr(word, '=');
    for (uint32_t i = 0; i < count; i++) {
        const char *name = attribute_table[keys[i]].name;
        if (strlen(name) != (size_t)(sign - word) || strncmp(name, word, strlen(name)) != 0)
            continue;
        if (attribute_is_integer(keys[i]))
            attributes[i].integer = strtoll(sign + 1, NULL, 10);
        else
            attributes[i].real = strtof(sign + 1, NULL);
        return true;
    }
    return false;
}

static enum status build_row(struct graph *graph, char *row, struct trace *trace)
{
    struct attribute attributes[OP_MAX_ATTRIBUTES] = {0};
    enum attribute_key keys[OP_MAX_ATTRIBUTES];
    uint32_t inputs[NODE_MAX_INPUTS] = {0}, results[NODE_MAX_RESULTS], count = 0;
    char *rest, *word = strtok_r(row, " ", &rest);
    enum op op;
    if (!word || !op_from_name(str_from(word), &op))
        return status_fail(trace, INVALID, "expected an op, found \"%s\"", word ? word : "");
    uint32_t key_count = op_attributes(op, keys);
    for (uint32_t i = 0; i < key_count; i++)
        attributes[i].key = keys[i];
    while ((word = strtok_r(NULL, " ", &rest))) {
        bool good = strchr(word, '=')
                        ? read_attribute(op, attributes, word)
                        : count < op_table[op].inputs && read_operand(graph, word, count, &inputs[count]);
        if (!good)
            return status_fail(trace, INVALID, "%s: cannot read \"%s\"", op_table[op].name, word);
        count += !strchr(word, '=');
    }
    if (count != op_table[op].inputs)
        return status_fail(trace, INVALID, "%s: expected %" PRIu32 " operands, found %" PRIu32,
                           op_table[op].name, op_table[op].inputs, count);
    TRY(build_node(graph, op, inputs, attributes, results, trace));
    for (uint32_t r = 0; r < op_table[op].results; r++) {
        char name[16];
        snprintf(name, sizeof name, "y%" PRIu32, r);
        build_output(graph, name, results[r]);
    }
    return OK;
}

/* ---- running ---- */

static enum status fill(struct executor *executor, uint32_t tensor, enum dtype dtype, int64_t count,
                        struct trace *trace)
{
    int32_t *ids = malloc((size_t)count * sizeof *ids);
    float *floats = (float *)ids;
    if (!ids)
        return status_fail(trace, IO, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        int32_t any = (int32_t)(i * 7919 % 1021);
        if (dtype == DTYPE_I32)
            ids[i] = any % IDS;
        else
            floats[i] = (float)any * 0x1p-10f + 0x1p-5f;
    }
    enum status status = executor_tensor_write(executor, tensor, 0, count, ids, trace);
    free(ids);
    return status;
}

/* Every operand and result gets a tensor of its own. */
static enum status bind_all(struct timed_op *t)
{
    const struct node *node = &t->graph->nodes.items[0];
    for (uint32_t i = 0; i < node->input_count + node->result_count; i++) {
        uint32_t id = i < node->input_count ? node->inputs[i] : node->results[i - node->input_count], tensor;
        const struct value *value = graph_value(t->graph, id);
        int64_t count = 1;
        for (uint32_t a = 0; a < value->rank; a++)
            count *= dims_size(&t->graph->dims, value->axes[a]);
        TRY(executor_tensor_create(t->executor, value->dtype, count, &tensor, &t->trace));
        t->bindings[t->binding_count++] = (struct binding){id, tensor};
        if (i < node->input_count)
            TRY(fill(t->executor, tensor, value->dtype, count, &t->trace));
    }
    return OK;
}

static void run_once(void *payload)
{
    struct timed_op *t = payload;
    if (t->status == OK)
        t->status = executor_run(t->executor, t->program, &t->trace);
}

static enum status time_op(struct timed_op *t, char *row)
{
    char copy[512];
    struct arena arena = {0};
    struct memory_plan plan;
    snprintf(copy, sizeof copy, "%s", row);
    t->graph = graph_create();
    TRY(build_row(t->graph, copy, &t->trace));
    TRY(bind_all(t));
    struct program_spec spec = {
        .graph = t->graph, .bindings = t->bindings, .binding_count = t->binding_count};
    TRY(executor_compile(&t->program, t->executor, &spec, &t->trace));
    double rate = bench_best_rate(run_once, t);
    TRY(t->status);
    enum status status = memory_plan_make(&plan, &arena, &spec, (struct memory_limits){0}, &t->trace);
    if (status == OK) {
        struct work work = work_of(&t->graph->nodes.items[0], plan.places);
        printf("%s\t%.9f\t%.0f\t%.0f\n", row, 1 / rate, work.operations, work.bytes);
        fflush(stdout);
    }
    arena_release(&arena);
    return status;
}

static void release(struct timed_op *t)
{
    executor_program_destroy(t->executor, t->program);
    for (uint32_t i = 0; i < t->binding_count; i++)
        executor_tensor_destroy(t->executor, t->bindings[i].tensor);
    graph_destroy(t->graph);
}

static enum status run_rows(struct executor *executor, struct trace *trace)
{
    char row[512];
    while (fgets(row, sizeof row, stdin)) {
        row[strcspn(row, "\n")] = '\0';
        if (!*row || *row == '#')
            continue;
        struct timed_op t = {.executor = executor};
        enum status status = time_op(&t, row);
        release(&t);
        if (status != OK)
            return status_fail(trace, status, "%s: %s", row, t.trace.text);
    }
    return OK;
}

static enum status print_ceilings(struct cpu_options options, struct trace *trace)
{
    struct cpu_threads *threads;
    TRY(cpu_threads_create(&threads, options.threads, trace));
    printf("ceiling\t%.0f\t%.0f\t%.0f\n", ceiling_separate(threads), ceiling_fused(threads),
           ceiling_bandwidth(threads));
    cpu_threads_destroy(threads);
    return OK;
}

int main(int argc, char **argv)
{
    struct cpu_options cpu = {.threads = 2};
    struct vulkan_options vulkan = {0};
    struct executor *executor = NULL;
    struct trace trace = {0};
    bool good = true;
    for (int c; (c = getopt(argc, argv, "t:n:d:")) != -1;) {
        if (c == 't')
            cpu.threads = (uint32_t)atoi(optarg);
        else if (c == 'n')
            good = good && numerics_find(&cpu.numerics, str_from(optarg));
        else if (c == 'd')
            vulkan.selector = optarg;
        else
            good = false;
    }
    if (!good || optind < argc) {
        fprintf(stderr, "see the head of bench/ops.c\n");
        return 2;
    }
    enum status status = print_ceilings(cpu, &trace);
    if (status == OK)
        status = vulkan.selector ? vulkan_executor_create(&executor, &vulkan, &trace)
                                 : cpu_executor_create(&executor, cpu, &trace);
    if (status == OK)
        status = run_rows(executor, &trace);
    executor_destroy(executor);
    if (status != OK)
        fprintf(stderr, "%s\n", trace.text);
    return status == OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
