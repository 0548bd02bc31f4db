/* The SPIR-V pass, run on small shaders that glslang compiles here, and on broken files. Argument: the
 * program. */
#include "tests/support/test.h"

#include <sys/wait.h>

/* SPIR-V 1.5, 3.32 and 3.20. */
enum {
    OP_DECORATE = 71,
    OP_F_NEGATE = 127,
    OP_F_ADD = 129,
    OP_F_SUB = 131,
    OP_F_MUL = 133,
    OP_VECTOR_TIMES_SCALAR = 142,
    NO_CONTRACTION = 42,
};

static const char *program;

struct fixture {
    char *directory;
    char output[4096]; /* of the last command, both streams */
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->directory = test_directory_create();
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    test_directory_remove(fixture->directory);
    free(fixture);
    return 0;
}

/* Runs a shell command in which $D is the directory and $P the program; returns its exit status and keeps
 * what it printed. */
static int run(struct fixture *fixture, const char *command)
{
    char line[8192];
    snprintf(line, sizeof line, "D='%s'; P='timeout 10 %s'; { %s; } 2>&1", fixture->directory, program,
             command);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t length = fread(fixture->output, 1, sizeof fixture->output - 1, pipe);
    fixture->output[length] = 0;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_file(struct fixture *fixture, const char *name, const void *bytes, size_t length)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static uint32_t *read_words(struct fixture *fixture, const char *name, size_t *count)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint32_t *words = malloc(1 << 20);
    *count = fread(words, 4, (1 << 20) / 4, file);
    fclose(file);
    return words;
}

/* a.spv: a shader whose main() has `statements`, on floats x[], ints i[] and uints u[]; `head` comes before
 * it. */
static void compile(struct fixture *fixture, const char *head, const char *statements)
{
    char source[4096];
    int length = snprintf(source, sizeof source,
                          "#version 450\n%s\nlayout(local_size_x = 1) in;\n"
                          "layout(std430, binding = 0) buffer X { float x[]; };\n"
                          "layout(std430, binding = 1) buffer I { int i[]; };\n"
                          "layout(std430, binding = 2) buffer U { uint u[]; };\n"
                          "layout(std430, binding = 3) buffer V { vec4 v[]; };\n"
                          "void main() { %s }\n",
                          head, statements);
    write_file(fixture, "a.comp", source, (size_t)length);
    if (run(fixture, "glslangValidator --quiet -V --target-env vulkan1.2 -o $D/a.spv $D/a.comp") != 0)
        fail_msg("%s: %s", statements, fixture->output);
}

struct probe {
    const char *statements;
    const char *words; /* in the refusal; NULL where it is accepted */
    const char *head;  /* NULL for nothing */
};

// clang-format off
/* Under --device: what device numerics may have beside, and what they may not either. */
static const struct probe device_probes[] = {
    {"x[0] = x[1] + x[2] * x[3] - x[4];", NULL, NULL},
    {"x[0] = fma(x[1], x[2], x[3]);", NULL, NULL},
    {"u[0] = packHalf2x16(v[0].xy); v[1].xy = unpackHalf2x16(u[1]);", NULL, NULL},
    {"x[0] = x[1] * 0.75;", NULL, NULL},
    {"x[0] = x[1] / x[2];", "FDiv", NULL},
    {"x[0] = exp(x[1]);", "Exp", NULL},
    {"x[0] = dot(v[0], v[1]);", "Dot", NULL},
    {"u[0] = atomicAdd(u[1], 1u);", "AtomicIAdd", NULL},
    {"x[0] = subgroupAdd(x[1]);", "capability 63", "#extension GL_KHR_shader_subgroup_arithmetic : require"},
};

static const struct probe probes[] = {
    {"x[0] = x[1] + x[2] * x[3] - x[4];", NULL, NULL},
    {"x[0] = -x[1];", NULL, NULL},
    {"v[0] = v[1] * x[0] + v[2].wzyx;", NULL, NULL},
    {"x[0] = x[1] < x[2] ? x[1] : x[2];", NULL, NULL},
    {"x[0] = x[1] * uintBitsToFloat(0x3fb8aa3bu);", NULL, NULL},
    {"x[0] = x[1] * uintBitsToFloat(0x26000000u);", NULL, NULL},
    {"x[0] = 0.0; x[1] = 1.0;", NULL, NULL},
    {"x[0] = x[1] + (0.5 + 0.5);", NULL, NULL},
    {"u[0] = u[1] / u[2] + u[3] % 7u; i[0] = i[1] / 3 + max(i[2], abs(i[3]));", NULL, NULL},
    {"uint h, l; umulExtended(u[0], u[1], h, l); u[2] = h + l + findMSB(u[3]) + bitCount(u[4]);", NULL, NULL},
    {"barrier(); shared_x[gl_LocalInvocationIndex] = x[0]; x[1] = shared_x[0];", NULL, "shared float shared_x[64];"},
    {"for (uint k = 0u; k < N; k++) x[k] = x[k] + x[k + 1u];", NULL, "layout(constant_id = 0) const uint N = 4u;"},
    {"x[0] = x[1] / x[2];", "FDiv", NULL},
    {"x[0] = mod(x[1], x[2]);", "FMod", NULL},
    {"x[0] = sqrt(x[1]);", "Sqrt", NULL},
    {"x[0] = inversesqrt(x[1]);", "InverseSqrt", NULL},
    {"x[0] = exp(x[1]);", "Exp", NULL},
    {"x[0] = log(x[1]);", "Log", NULL},
    {"x[0] = pow(x[1], x[2]);", "Pow", NULL},
    {"x[0] = sin(x[1]);", "Sin", NULL},
    {"x[0] = tanh(x[1]);", "Tanh", NULL},
    {"x[0] = fma(x[1], x[2], x[3]);", "Fma", NULL},
    {"x[0] = mix(x[1], x[2], x[3]);", "FMix", NULL},
    {"x[0] = min(x[1], x[2]);", "FMin", NULL},
    {"x[0] = max(x[1], x[2]);", "FMax", NULL},
    {"x[0] = clamp(x[1], x[2], x[3]);", "FClamp", NULL},
    {"x[0] = abs(x[1]);", "FAbs", NULL},
    {"x[0] = floor(x[1]);", "Floor", NULL},
    {"x[0] = round(x[1]);", "Round", NULL},
    {"x[0] = fract(x[1]);", "Fract", NULL},
    {"x[0] = ldexp(x[1], i[0]);", "Ldexp", NULL},
    {"x[0] = length(v[0]);", "Length", NULL},
    {"u[0] = packHalf2x16(v[0].xy);", "PackHalf2x16", NULL},
    {"v[0].xy = unpackHalf2x16(u[0]);", "UnpackHalf2x16", NULL},
    {"x[0] = dot(v[0], v[1]);", "Dot", NULL},
    {"v[0] = mat4(v[0], v[1], v[2], v[3]) * v[4];", "MatrixTimesVector", NULL},
    {"x[0] = isnan(x[1]) ? x[2] : x[3];", "IsNan", NULL},
    {"x[0] = float(i[0]);", "ConvertSToF", NULL},
    {"x[0] = float(u[0]);", "ConvertUToF", NULL},
    {"i[0] = int(x[0]);", "ConvertFToS", NULL},
    {"u[0] = uint(x[0]);", "ConvertFToU", NULL},
    {"double d = double(x[0]); x[1] = float(d + d);", "64 bits", NULL},
    {"f[0] = f[1] * f[2];", "16 bits", "#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require\n"
     "#extension GL_EXT_shader_16bit_storage : require\nlayout(std430, binding = 5) buffer F { float16_t f[]; };"},
    {"u[0] = uint(w[0] + w[1]);", "64 bits", "#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require\n"
     "layout(std430, binding = 5) buffer W { uint64_t w[]; };"},
    {"mediump float m = x[0]; x[1] = m * m;", "RelaxedPrecision", NULL},
    {"x[0] = subgroupAdd(x[1]);", "capability 63", "#extension GL_KHR_shader_subgroup_arithmetic : require"},
    {"atomicAdd(u[0], 1u);", "AtomicIAdd", NULL},
    {"atomicAdd(x[0], x[1]);", "AtomicFAddEXT", "#extension GL_EXT_shader_atomic_float : require"},
    {"x[0] = x[1] * 0.1;", "gm_float(0x3dcccccdu)", NULL},
    {"x[0] = x[1] * (1.0 / 3.0);", "float constant 0.333333343", NULL},
    {"x[0] = -0.0;", "float constant -0", NULL},
    {"v[0] = v[1] + vec4(2.0);", "float constant 2", NULL},
    {"x[0] = x[1] * uintBitsToFloat(0x25ffffffu);", "below 2^-51", NULL},
    {"x[0] = x[1] * S;", "specialisation constant is a float", "layout(constant_id = 0) const float S = 1.0;"},
};
// clang-format on

static void accepts_and_refuses_by_name(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        const struct probe *probe = &probes[i];
        compile(fixture, probe->head ? probe->head : "", probe->statements);
        int status = run(fixture, "rm -f $D/b.spv; $P $D/a.spv $D/b.spv");
        if (probe->words ? status != 1 || !strstr(fixture->output, probe->words) : status != 0)
            fail_msg("%s\nexpected %s, found exit %d: %s", probe->statements,
                     probe->words ? probe->words : "acceptance", status, fixture->output);
        if (probe->words)
            assert_int_equal(run(fixture, "test -e $D/b.spv"), 1);
        else if (run(fixture, "spirv-val --target-env vulkan1.2 $D/b.spv && $P --check $D/b.spv") != 0)
            fail_msg("%s: %s", probe->statements, fixture->output);
    }
}

/* Counted in the words, without the program: float operations, and those among them that are decorated. */
static void count_decorated(const uint32_t *words, size_t count, size_t *operations, size_t *decorated)
{
    *operations = *decorated = 0;
    for (size_t at = 5; at < count; at += words[at] >> 16) {
        uint32_t op = words[at] & 0xffff;
        if (op != OP_F_ADD && op != OP_F_SUB && op != OP_F_MUL && op != OP_F_NEGATE &&
            op != OP_VECTOR_TIMES_SCALAR)
            continue;
        ++*operations;
        for (size_t other = 5; other < count; other += words[other] >> 16)
            if ((words[other] & 0xffff) == OP_DECORATE && words[other + 1] == words[at + 2] &&
                words[other + 2] == NO_CONTRACTION)
                ++*decorated;
    }
}

static void decorates_every_float_operation_once(void **state)
{
    struct fixture *fixture = *state;
    compile(fixture, "", "precise float p = x[0] * x[1] + x[2]; x[3] = -p; v[0] = v[1] * x[3] - v[2];");
    assert_int_equal(run(fixture, "$P $D/a.spv $D/b.spv && $P --check $D/b.spv"), 0);
    assert_non_null(strstr(fixture->output, "5 float operations, 5 decorations"));
    size_t count, operations, decorated;
    uint32_t *words = read_words(fixture, "a.spv", &count);
    count_decorated(words, count, &operations, &decorated);
    assert_int_equal(operations, 5);
    assert_int_equal(decorated, 3); /* what `precise` alone does */
    free(words);
    words = read_words(fixture, "b.spv", &count);
    count_decorated(words, count, &operations, &decorated);
    assert_int_equal(operations, 5);
    assert_int_equal(decorated, 5);
    free(words);
    /* Running it again changes nothing. */
    assert_int_equal(run(fixture, "$P $D/b.spv $D/c.spv && cmp $D/b.spv $D/c.spv"), 0);
}

static void check_finds_a_missing_decoration(void **state)
{
    struct fixture *fixture = *state;
    compile(fixture, "", "x[0] = x[1] + x[2];");
    assert_int_equal(run(fixture, "$P --check $D/a.spv"), 1);
    assert_non_null(strstr(fixture->output, "0 NoContraction decorations, expected 1"));
    /* One good file does not hide a bad one. */
    assert_int_equal(run(fixture, "$P $D/a.spv $D/b.spv && $P --check $D/a.spv $D/b.spv"), 1);
}

static void lists_constants(void **state)
{
    struct fixture *fixture = *state;
    compile(fixture, "", "x[0] = x[1] * uintBitsToFloat(0x3fb8aa3bu) + 1.0;");
    assert_int_equal(run(fixture, "$P --constants $D/a.spv"), 0);
    assert_non_null(strstr(fixture->output, "cast 0x3fb8aa3b 1.44269502"));
    assert_non_null(strstr(fixture->output, "constant 0x3f800000 1"));
}

static void broken_files_are_errors(void **state)
{
    struct fixture *fixture = *state;
    compile(fixture, "", "x[0] = x[1] + x[2];");
    size_t count;
    uint32_t *words = read_words(fixture, "a.spv", &count);
    assert_int_equal(run(fixture, "$P $D/none.spv $D/b.spv"), 1);
    assert_int_equal(run(fixture, "$P"), 2);
    assert_int_equal(run(fixture, "$P --check"), 2);
    for (size_t length = 0; length < count * 4; length += 7) {
        write_file(fixture, "cut.spv", words, length);
        assert_in_range(run(fixture, "$P $D/cut.spv $D/b.spv"), 0, 1);
    }
    for (size_t i = 0; i < count; i++) { /* every word damaged: no crash, whatever the verdict */
        uint32_t kept = words[i];
        words[i] = i % 2 ? 0xffffffffu : kept ^ 0x00010001u;
        write_file(fixture, "bad.spv", words, count * 4);
        int status =
            run(fixture, "$P $D/bad.spv $D/b.spv; s=$?; $P --check $D/bad.spv; $P --constants $D/bad.spv; "
                         "test $s -le 1");
        if (status != 0 || strstr(fixture->output, "Sanitizer") || strstr(fixture->output, "runtime error"))
            fail_msg("word %zu: exit %d: %s", i, status, fixture->output);
        words[i] = kept;
    }
    free(words);
}

static void device_kernels_may_have_more(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof device_probes / sizeof *device_probes; i++) {
        const struct probe *probe = &device_probes[i];
        compile(fixture, probe->head ? probe->head : "", probe->statements);
        int status =
            run(fixture, "$P --device $D/a.spv $D/b.spv && spirv-val --target-env vulkan1.2 $D/b.spv");
        if (status != (probe->words ? 1 : 0) || (probe->words && !strstr(fixture->output, probe->words)))
            fail_msg("%s: exit %d: %s", probe->statements, status, fixture->output);
    }
}

/* Cooperative matrices, which the compiler here may not know, are in the kernels that are committed: allowed
 * for devices, refused as golden ones. No damage to one crashes. */
static void cooperative_matrices_are_for_devices(void **state)
{
    struct fixture *fixture = *state;
    static const char *const kernels[] = {"matmul_matrix_f16", "matmul_matrix_bf16", "attention_matrix_f16",
                                          "attention_matrix_grad_k_bf16"};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        char command[512];
        snprintf(command, sizeof command,
                 "cp shaders/device/%s.spv $D/k.spv && $P --device $D/k.spv $D/b.spv", kernels[i]);
        if (run(fixture, command) != 0)
            fail_msg("%s: %s", kernels[i], fixture->output);
        assert_int_equal(run(fixture, "$P $D/k.spv $D/b.spv"), 1);
        assert_non_null(strstr(fixture->output, "capability 6022"));
        assert_non_null(strstr(fixture->output, "an extension"));
    }
    size_t count;
    uint32_t *words = read_words(fixture, "k.spv", &count);
    for (size_t i = 0; i < count; i += 17) {
        uint32_t kept = words[i];
        words[i] = i % 2 ? 0xffffffffu : kept ^ 0x00010001u;
        write_file(fixture, "bad.spv", words, count * 4);
        int status = run(fixture, "$P --device $D/bad.spv $D/b.spv; test $? -le 1");
        if (status != 0 || strstr(fixture->output, "Sanitizer") || strstr(fixture->output, "runtime error"))
            fail_msg("word %zu: exit %d: %s", i, status, fixture->output);
        words[i] = kept;
    }
    free(words);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return fprintf(stderr, "usage: %s SPIRV_EXACT\n", argv[0]), 2;
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accepts_and_refuses_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(decorates_every_float_operation_once, setup, teardown),
        cmocka_unit_test_setup_teardown(check_finds_a_missing_decoration, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_constants, setup, teardown),
        cmocka_unit_test_setup_teardown(device_kernels_may_have_more, setup, teardown),
        cmocka_unit_test_setup_teardown(cooperative_matrices_are_for_devices, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_files_are_errors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
