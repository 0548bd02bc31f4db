/* Makes a compute shader safe for golden arithmetic, or says why it cannot be.
 *
 *   spirv_exact IN OUT          checks IN, and writes it with every float operation decorated NoContraction
 *   spirv_exact --check FILE..  checks finished files: allowed, and as many decorations as float operations
 *   spirv_exact --constants FILE   lists the float constants, and the bit patterns that are cast to floats
 *   spirv_exact --device IN OUT    the same for a kernel of the device numerics
 *
 * Kernels of the device numerics may multiply cooperative matrices, round to 16 bits, multiply and add in one
 * rounding, and have constants that were folded: their bytes are promised on one device and driver only. What
 * else they compute is decorated too: drivers take (x + c) - c for x, and the scalar functions need it.
 *
 * A device may give other bits than C for anything but + - * of f32 and integer arithmetic, and for those too
 * unless the operation carries NoContraction. So there is one list of what is allowed; all else is refused by
 * name. Float constants come as bit patterns that the shader casts, for glslang folds arithmetic between
 * float constants in double; only 0 and 1 may be float constants in the module. Constants other than 0 below
 * 2^-51 are refused as well: their products could be subnormal. Instruction layouts: SPIR-V 1.5
 * specification, 2.2 and 3.32. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAGIC = 0x07230203,
    HEADER_WORDS = 5,
    MAX_WORDS = 1 << 24,
    MAX_BOUND = 1 << 22,
    MAX_REPORTED = 10, /* refusals of one file */
};

enum opcode {
    OP_EXTENSION = 10,
    OP_EXT_INST_IMPORT = 11,
    OP_EXT_INST = 12,
    OP_ENTRY_POINT = 15,
    OP_EXECUTION_MODE = 16,
    OP_CAPABILITY = 17,
    OP_TYPE_VOID = 19,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_CONSTANT = 43,
    OP_SPEC_CONSTANT = 50,
    OP_SPEC_CONSTANT_OP = 52,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72,
    OP_BITCAST = 124,
    OP_F_NEGATE = 127,
    OP_F_ADD = 129,
    OP_F_SUB = 131,
    OP_F_MUL = 133,
    OP_VECTOR_TIMES_SCALAR = 142,
};

enum {
    CAPABILITY_SHADER = 1,
    MODEL_GL_COMPUTE = 5,
    MODE_LOCAL_SIZE = 17,
    MODE_LOCAL_SIZE_ID = 38,
    RELAXED_PRECISION = 0,
    FP_FAST_MATH_MODE = 40,
    NO_CONTRACTION = 42,
    FLOAT_ONE = 0x3f800000,
    FLOAT_ABS = 0x7fffffff,
    FLOAT_TINY = 0x26000000, /* 2^-51 */
};

// clang-format off
/* Every instruction that a golden kernel may contain. */
static const struct opcode_range {
    uint16_t first, last;
} allowed[] = {
    {3, 8},     /* Source, SourceExtension, Name, MemberName, String, Line */
    {10, 12},   /* Extension, ExtInstImport, ExtInst: looked into */
    {14, 17},   /* MemoryModel, EntryPoint, ExecutionMode, Capability: looked into */
    {19, 23},   /* TypeVoid, TypeBool, TypeInt, TypeFloat, TypeVector */
    {28, 30},   /* TypeArray, TypeRuntimeArray, TypeStruct */
    {32, 33},   /* TypePointer, TypeFunction */
    {41, 44},   /* ConstantTrue, ConstantFalse, Constant, ConstantComposite */
    {46, 46},   /* ConstantNull */
    {48, 52},   /* SpecConstantTrue to SpecConstantOp: looked into */
    {54, 57},   /* Function, FunctionParameter, FunctionEnd, FunctionCall */
    {59, 59},   /* Variable */
    {61, 63},   /* Load, Store, CopyMemory */
    {65, 66},   /* AccessChain, InBoundsAccessChain */
    {68, 68},   /* ArrayLength */
    {71, 72},   /* Decorate, MemberDecorate: looked into */
    {77, 83},   /* vector and composite moves, CopyObject */
    {124, 124}, /* Bitcast */
    {126, 133}, /* SNegate, FNegate, IAdd, FAdd, ISub, FSub, IMul, FMul */
    {134, 135}, /* UDiv, SDiv */
    {137, 139}, /* UMod, SRem, SMod */
    {142, 142}, /* VectorTimesScalar */
    {149, 152}, /* IAddCarry, ISubBorrow, UMulExtended, SMulExtended */
    {154, 155}, /* Any, All */
    {164, 191}, /* logic, Select, comparisons of integers and floats */
    {194, 205}, /* shifts, bitwise operations, bit fields, bit counts */
    {224, 225}, /* ControlBarrier, MemoryBarrier */
    {245, 255}, /* Phi and control flow */
    {317, 317}, /* NoLine */
    {330, 330}, /* ModuleProcessed */
    {400, 400}, /* CopyLogical */
};

/* What a kernel of the device numerics may contain beside them. */
static const struct opcode_range allowed_on_device[] = {
    {4456, 4460}, /* TypeCooperativeMatrixKHR, its Load, Store, MulAdd and Length */
};
/* Shader, Float16, GroupNonUniform, BFloat16TypeKHR, BFloat16CooperativeMatrixKHR, VulkanMemoryModel, CooperativeMatrixKHR. */
static const uint16_t device_capabilities[] = {1, 9, 61, 5116, 5118, 5345, 6022};
static const char *const device_extensions[] = {"SPV_KHR_bfloat16", "SPV_KHR_cooperative_matrix"};
/* Fma, PackHalf2x16, UnpackHalf2x16. */
static const uint8_t device_functions[] = {50, 58, 62};

/* GLSL.std.450: SAbs, SSign, UMin, SMin, UMax, SMax, UClamp, SClamp, FindILsb, FindSMsb, FindUMsb. */
static const uint8_t allowed_functions[] = {5, 7, 38, 39, 41, 42, 44, 45, 73, 74, 75};

/* What a refused instruction is called, for those that people write. */
static const struct number_name {
    uint16_t number;
    const char *name;
} opcode_names[] = {
    {1, "Undef"},
    {24, "TypeMatrix"},
    {25, "TypeImage"},
    {109, "ConvertFToU"},
    {110, "ConvertFToS"},
    {111, "ConvertSToF"},
    {112, "ConvertUToF"},
    {113, "UConvert"},
    {114, "SConvert"},
    {115, "FConvert"},
    {116, "QuantizeToF16"},
    {136, "FDiv"},
    {140, "FRem"},
    {141, "FMod"},
    {143, "MatrixTimesScalar"},
    {144, "VectorTimesMatrix"},
    {145, "MatrixTimesVector"},
    {146, "MatrixTimesMatrix"},
    {147, "OuterProduct"},
    {148, "Dot"},
    {156, "IsNan"},
    {157, "IsInf"},
    {234, "AtomicIAdd"},
    {6035, "AtomicFAddEXT"},
};
static const struct number_name function_names[] = {
    {1, "Round"},      {3, "Trunc"},       {4, "FAbs"},    {6, "FSign"},  {8, "Floor"},   {9, "Ceil"},
    {10, "Fract"},     {13, "Sin"},        {14, "Cos"},    {15, "Tan"},   {21, "Tanh"},   {26, "Pow"},
    {27, "Exp"},       {28, "Log"},        {29, "Exp2"},   {30, "Log2"},  {31, "Sqrt"},   {32, "InverseSqrt"},
    {37, "FMin"},      {40, "FMax"},       {43, "FClamp"}, {46, "FMix"},  {48, "Step"},   {50, "Fma"},
    {53, "Ldexp"},     {58, "PackHalf2x16"}, {62, "UnpackHalf2x16"}, {66, "Length"}, {69, "Normalize"},
    {79, "NMin"},      {80, "NMax"},       {81, "NClamp"},
};

// clang-format on

/* What is known of a result id. */
struct id {
    uint8_t decorations; /* NoContraction, how often */
    bool is_float32;     /* a type: f32 */
    bool is_constant;    /* a 32-bit constant, whose bits are `value` */
    uint32_t value;
};

enum kernel_kind { GOLDEN_KERNEL, DEVICE_KERNEL };

struct module {
    const char *path;
    enum kernel_kind kind;
    uint32_t *words; /* owned */
    size_t count;    /* of words */
    uint32_t bound;  /* ids are below it */
    struct id *ids;  /* owned, `bound` of them */
    size_t types_at; /* where the first type stands: decorations go before it */
    size_t refusals;
    size_t operations;  /* on floats */
    size_t decorations; /* NoContraction */
};

static void module_release(struct module *module)
{
    free(module->words);
    free(module->ids);
}

__attribute__((format(printf, 3, 4))) static void refuse(struct module *module, size_t at, const char *format,
                                                         ...)
{
    if (module->refusals++ == MAX_REPORTED)
        fprintf(stderr, "%s: and more\n", module->path);
    if (module->refusals > MAX_REPORTED)
        return;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: word %zu: ", module->path, at);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

static const char *find_name(const struct number_name *names, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].number == number)
            return names[i].name;
    return "?";
}

static bool is_in(const struct opcode_range *ranges, size_t count, uint32_t opcode)
{
    for (size_t i = 0; i < count; i++)
        if (opcode >= ranges[i].first && opcode <= ranges[i].last)
            return true;
    return false;
}

static bool is_allowed(const struct module *module, uint32_t opcode)
{
    return is_in(allowed, sizeof allowed / sizeof *allowed, opcode) ||
           (module->kind == DEVICE_KERNEL &&
            is_in(allowed_on_device, sizeof allowed_on_device / sizeof *allowed_on_device, opcode));
}

static bool is_float_operation(uint32_t opcode)
{
    return opcode == OP_F_NEGATE || opcode == OP_F_ADD || opcode == OP_F_SUB || opcode == OP_F_MUL ||
           opcode == OP_VECTOR_TIMES_SCALAR;
}

/* Operands that are looked at must exist: the instruction at `at` has `needed` words and ids below the bound.
 */
static bool has_words(struct module *module, size_t at, size_t needed)
{
    if (module->words[at] >> 16 >= needed)
        return true;
    refuse(module, at, "instruction %u is too short", module->words[at] & 0xffff);
    return false;
}

static struct id *find_id(struct module *module, size_t at, uint32_t id)
{
    if (id != 0 && id < module->bound)
        return &module->ids[id];
    refuse(module, at, "id %u is not below the bound %u", id, module->bound);
    return NULL;
}

static bool read_module(struct module *module, const char *path, enum kernel_kind kind)
{
    *module = (struct module){.path = path, .kind = kind};
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return false;
    }
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    rewind(file);
    bool fits = size > HEADER_WORDS * 4 && size % 4 == 0 && size / 4 <= MAX_WORDS;
    if (fits) {
        module->count = (size_t)size / 4;
        module->words = malloc((size_t)size);
        fits = module->words && fread(module->words, 4, module->count, file) == module->count;
    }
    fclose(file);
    if (!fits || module->words[0] != MAGIC) {
        fprintf(stderr, "%s: not a SPIR-V module of this byte order\n", path);
        return false;
    }
    module->bound = module->words[3];
    if (module->bound > MAX_BOUND || !(module->ids = calloc(module->bound, sizeof *module->ids))) {
        fprintf(stderr, "%s: the id bound %u is too large\n", path, module->bound);
        return false;
    }
    for (size_t at = HEADER_WORDS, length; at < module->count; at += length) {
        length = module->words[at] >> 16;
        if (length == 0 || length > module->count - at) {
            fprintf(stderr, "%s: word %zu: an instruction of %zu words does not fit\n", path, at, length);
            return false;
        }
    }
    return true;
}

static void check_decoration(struct module *module, size_t at, uint32_t decoration)
{
    if (decoration == RELAXED_PRECISION || decoration == FP_FAST_MATH_MODE)
        refuse(module, at, "decoration %s",
               decoration == RELAXED_PRECISION ? "RelaxedPrecision" : "FPFastMathMode");
    if (decoration != NO_CONTRACTION)
        return;
    struct id *id = find_id(module, at, module->words[at + 1]);
    module->decorations++;
    if (id && id->decorations < UINT8_MAX)
        id->decorations++;
}

static void check_constant(struct module *module, size_t at)
{
    const uint32_t *word = &module->words[at];
    struct id *type = find_id(module, at, word[1]), *id = find_id(module, at, word[2]);
    if (!type || !id)
        return;
    id->is_constant = true;
    id->value = word[3];
    if (!type->is_float32)
        return;
    float value;
    memcpy(&value, &word[3], sizeof value);
    if ((word[0] & 0xffff) == OP_SPEC_CONSTANT)
        refuse(module, at, "a specialisation constant is a float");
    else if (module->kind == GOLDEN_KERNEL && word[3] != 0 && word[3] != FLOAT_ONE)
        refuse(module, at,
               "float constant %.9g: write it as gm_float(0x%08xu), and no arithmetic between constants",
               (double)value, word[3]);
}

static void check_bitcast(struct module *module, size_t at)
{
    const uint32_t *word = &module->words[at];
    struct id *type = find_id(module, at, word[1]), *operand = find_id(module, at, word[3]);
    if (!type || !operand || !type->is_float32 || !operand->is_constant)
        return;
    uint32_t size = operand->value & FLOAT_ABS;
    if (size != 0 && size < FLOAT_TINY)
        refuse(module, at, "the constant 0x%08x is a float below 2^-51", operand->value);
}

/* A specialisation may compute integers, never floats. */
static void check_specialisation(struct module *module, size_t at)
{
    const uint32_t *word = &module->words[at];
    struct id *type = find_id(module, at, word[1]);
    if (type && type->is_float32)
        refuse(module, at, "a specialisation constant is a float");
    if (!is_allowed(module, word[3]) || is_float_operation(word[3]) || word[3] == OP_BITCAST)
        refuse(module, at, "specialisation with opcode %u (%s)", word[3],
               find_name(opcode_names, sizeof opcode_names / sizeof *opcode_names, word[3]));
}

static void check_function(struct module *module, size_t at)
{
    uint32_t function = module->words[at + 4];
    if (module->kind == DEVICE_KERNEL && function <= UINT8_MAX &&
        memchr(device_functions, (int)function, sizeof device_functions))
        return;
    if (function > UINT8_MAX || !memchr(allowed_functions, (int)function, sizeof allowed_functions))
        refuse(module, at, "opcode 12 (ExtInst): function %u (%s)", function,
               find_name(function_names, sizeof function_names / sizeof *function_names, function));
}

/* Whether word `at` of an instruction begins this string. */
static bool is_string(const struct module *module, size_t instruction, size_t at, const char *string)
{
    size_t words = strlen(string) / 4 + 1;
    uint32_t padded[16] = {0};
    memcpy(padded, string, strlen(string));
    return words + at <= module->words[instruction] >> 16 &&
           memcmp(&module->words[instruction + at], padded, words * 4) == 0;
}

static bool has_capability(const struct module *module, uint32_t capability)
{
    if (module->kind == GOLDEN_KERNEL)
        return capability == CAPABILITY_SHADER;
    for (size_t i = 0; i < sizeof device_capabilities / sizeof *device_capabilities; i++)
        if (device_capabilities[i] == capability)
            return true;
    return false;
}

static bool is_known_extension(const struct module *module, size_t at)
{
    for (size_t i = 0; i < sizeof device_extensions / sizeof *device_extensions; i++)
        if (module->kind == DEVICE_KERNEL && is_string(module, at, 1, device_extensions[i]))
            return true;
    return false;
}

/* What the module asks of the device: golden kernels no more than every Vulkan device has. */
static void check_environment(struct module *module, size_t at)
{
    const uint32_t *word = &module->words[at];
    switch (word[0] & 0xffff) {
    case OP_CAPABILITY:
        if (!has_capability(module, word[1]))
            refuse(module, at, "capability %u", word[1]);
        break;
    case OP_EXTENSION:
        if (!is_known_extension(module, at))
            refuse(module, at, "an extension");
        break;
    case OP_EXT_INST_IMPORT:
        if (!is_string(module, at, 2, "GLSL.std.450"))
            refuse(module, at, "a set of extended instructions other than GLSL.std.450");
        break;
    case OP_ENTRY_POINT:
        if (word[1] != MODEL_GL_COMPUTE)
            refuse(module, at, "execution model %u", word[1]);
        break;
    case OP_EXECUTION_MODE:
        if (word[2] != MODE_LOCAL_SIZE && !(module->kind == DEVICE_KERNEL && word[2] == MODE_LOCAL_SIZE_ID))
            refuse(module, at, "execution mode %u", word[2]);
        break;
    }
}

static void check_instruction(struct module *module, size_t at)
{
    // clang-format off
    static const uint8_t needed[UINT8_MAX] = {
        [OP_EXTENSION] = 2, [OP_EXT_INST_IMPORT] = 3, [OP_EXT_INST] = 5, [OP_ENTRY_POINT] = 4, [OP_EXECUTION_MODE] = 3,
        [OP_CAPABILITY] = 2, [OP_TYPE_INT] = 4, [OP_TYPE_FLOAT] = 3, [OP_CONSTANT] = 4, [OP_SPEC_CONSTANT] = 4,
        [OP_SPEC_CONSTANT_OP] = 4, [OP_DECORATE] = 3, [OP_MEMBER_DECORATE] = 4, [OP_BITCAST] = 4, [OP_F_NEGATE] = 4,
        [OP_F_ADD] = 5, [OP_F_SUB] = 5, [OP_F_MUL] = 5, [OP_VECTOR_TIMES_SCALAR] = 5,
    };
    // clang-format on
    const uint32_t *word = &module->words[at];
    uint32_t opcode = word[0] & 0xffff;
    if (!is_allowed(module, opcode)) {
        refuse(module, at, "opcode %u (%s)", opcode,
               find_name(opcode_names, sizeof opcode_names / sizeof *opcode_names, opcode));
        return;
    }
    if (opcode < UINT8_MAX && !has_words(module, at, needed[opcode]))
        return;
    if (module->types_at == 0 && opcode >= OP_TYPE_VOID && opcode < OP_CONSTANT)
        module->types_at = at;
    struct id *id;
    switch (opcode) {
    case OP_TYPE_INT:
        if (word[2] != 32)
            refuse(module, at, "an integer type of %u bits", word[2]);
        break;
    case OP_TYPE_FLOAT:
        if (word[2] != 32 && !(module->kind == DEVICE_KERNEL && word[2] == 16))
            refuse(module, at, "a float type of %u bits", word[2]);
        else if (word[2] == 32 && (id = find_id(module, at, word[1])))
            id->is_float32 = true;
        break;
    case OP_DECORATE:
        check_decoration(module, at, word[2]);
        break;
    case OP_MEMBER_DECORATE:
        check_decoration(module, at, word[3]);
        break;
    case OP_CONSTANT:
    case OP_SPEC_CONSTANT:
        check_constant(module, at);
        break;
    case OP_SPEC_CONSTANT_OP:
        check_specialisation(module, at);
        break;
    case OP_BITCAST:
        check_bitcast(module, at);
        break;
    case OP_EXT_INST:
        check_function(module, at);
        break;
    default:
        check_environment(module, at);
    }
    if (is_float_operation(opcode) && find_id(module, at, word[2]))
        module->operations++;
}

/* Refuses what golden arithmetic does not allow in a module that was read. */
static bool check_module(struct module *module)
{
    for (size_t at = HEADER_WORDS; at < module->count; at += module->words[at] >> 16)
        check_instruction(module, at);
    if (module->refusals == 0 && module->types_at == 0)
        refuse(module, HEADER_WORDS, "no types: not a shader");
    return module->refusals == 0;
}

/* The module with one NoContraction for every float operation that lacks it. */
static bool write_module(const struct module *module, FILE *file)
{
    size_t rest = module->count - module->types_at;
    bool good = fwrite(module->words, 4, module->types_at, file) == module->types_at;
    for (size_t at = module->types_at; at < module->count; at += module->words[at] >> 16) {
        if (!is_float_operation(module->words[at] & 0xffff) || module->ids[module->words[at + 2]].decorations)
            continue;
        uint32_t decoration[3] = {3u << 16 | OP_DECORATE, module->words[at + 2], NO_CONTRACTION};
        good = good && fwrite(decoration, 4, 3, file) == 3;
    }
    return good && fwrite(module->words + module->types_at, 4, rest, file) == rest;
}

static int run_pass(const char *in, const char *out, enum kernel_kind kind)
{
    struct module module;
    bool good = read_module(&module, in, kind) && check_module(&module);
    if (good) {
        FILE *file = fopen(out, "wb");
        good = file && write_module(&module, file);
        if (file && fclose(file) != 0)
            good = false;
        if (!good)
            perror(out);
    }
    module_release(&module);
    return good ? 0 : 1;
}

/* Every float operation has exactly one NoContraction, and nothing else has one. */
static int run_check(const char *path)
{
    struct module module;
    bool good = read_module(&module, path, GOLDEN_KERNEL) && check_module(&module);
    for (size_t at = HEADER_WORDS; good && at < module.count; at += module.words[at] >> 16) {
        if (!is_float_operation(module.words[at] & 0xffff))
            continue;
        if (module.ids[module.words[at + 2]].decorations != 1)
            refuse(&module, at, "float operation %u has %d NoContraction decorations, expected 1",
                   module.words[at] & 0xffff, module.ids[module.words[at + 2]].decorations);
    }
    if (good && module.operations != module.decorations)
        refuse(&module, 0, "%zu float operations but %zu NoContraction decorations", module.operations,
               module.decorations);
    good = good && module.refusals == 0;
    if (good)
        printf("%s: %zu float operations, %zu decorations\n", path, module.operations, module.decorations);
    module_release(&module);
    return good ? 0 : 1;
}

static int run_constants(const char *path)
{
    struct module module;
    bool good = read_module(&module, path, GOLDEN_KERNEL);
    bool portable = good && check_module(&module);
    for (size_t at = HEADER_WORDS; good && at < module.count; at += module.words[at] >> 16) {
        const uint32_t *word = &module.words[at];
        bool constant = (word[0] & 0xffff) == OP_CONSTANT, cast = (word[0] & 0xffff) == OP_BITCAST;
        if (word[0] >> 16 < 4 || !(constant || cast) || word[1] >= module.bound || word[3] == 0)
            continue;
        if (!module.ids[word[1]].is_float32)
            continue;
        if (cast && (word[3] >= module.bound || !module.ids[word[3]].is_constant))
            continue;
        uint32_t bits = cast ? module.ids[word[3]].value : word[3];
        float value;
        memcpy(&value, &bits, sizeof value);
        printf("%s 0x%08x %.9g\n", cast ? "cast" : "constant", bits, (double)value);
    }
    module_release(&module);
    return portable ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--constants") == 0)
        return run_constants(argv[2]);
    if (argc > 2 && strcmp(argv[1], "--check") == 0) {
        int status = 0;
        for (int i = 2; i < argc; i++)
            status |= run_check(argv[i]);
        return status;
    }
    if (argc == 3 && argv[1][0] != '-')
        return run_pass(argv[1], argv[2], GOLDEN_KERNEL);
    if (argc == 4 && strcmp(argv[1], "--device") == 0)
        return run_pass(argv[2], argv[3], DEVICE_KERNEL);
    fputs("usage: spirv_exact IN OUT | --device IN OUT | --check FILE... | --constants FILE\n", stderr);
    return 2;
}
