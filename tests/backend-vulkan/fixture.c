/* Choosing the driver before the loader looks for one. */
#include "tests/backend-vulkan/fixture.h"
#include <dlfcn.h>

/* What drivers and the layer leak is theirs: asan's leak checker asks for this list, of parts of library
 * names. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libvulkan_lvp\nleak:libvk_swiftshader\nleak:libVkLayer\nleak:libLLVM\nleak:libvulkan.so\n";
}

/* Leaks of a library that was unloaded have no name any more: these stay. */
static void keep_loaded(void)
{
    static const char *const libraries[] = {"libvulkan_lvp.so", "/usr/lib/chromium/libvk_swiftshader.so",
                                            "libVkLayer_khronos_validation.so"};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        (void)dlopen(libraries[i], RTLD_NOW | RTLD_NODELETE);
}

static const char *icd_path(enum fixture_driver driver)
{
    const char *other = getenv("ESPALIER_TEST_ICD");
    if (driver == FIXTURE_SWIFTSHADER)
        return "/usr/lib/chromium/vk_swiftshader_icd.json";
    return other && *other ? other : "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json";
}

void fixture_choose_driver(enum fixture_driver driver)
{
    const char *path = icd_path(driver);
    keep_loaded();
    if (access(path, R_OK) != 0) {
        print_message("no %s\n", path);
        skip();
    }
    setenv("VK_ICD_FILENAMES", path, 1);
    setenv("VK_DRIVER_FILES", path, 1);
}

bool fixture_has_validation(void)
{
    return access("/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json", R_OK) == 0;
}

/* Instrumented kernels tell every access outside of what is bound. Drivers are slow to compile them, so all
 * of them are only when asked for; and the layer wants 64-bit integers, which SwiftShader has not. */
static enum vulkan_validation choose_validation(enum fixture_driver driver, enum vulkan_validation asked)
{
    if (!fixture_has_validation())
        return VULKAN_NOT_VALIDATED;
    if (asked != VULKAN_NOT_VALIDATED)
        return asked;
    bool is_instrumented = driver == FIXTURE_LAVAPIPE && getenv("INSTRUMENT_ALL");
    return is_instrumented ? VULKAN_VALIDATED_ON_DEVICE : VULKAN_VALIDATED;
}

struct executor *fixture_open(enum fixture_driver driver, struct vulkan_options options)
{
    struct trace trace = {0};
    struct executor *executor = NULL;
    fixture_choose_driver(driver);
    options.validation = choose_validation(driver, options.validation);
    options.guard_words = 16;
    assert_ok(vulkan_executor_create(&executor, &options, &trace), &trace);
    return executor;
}

void fixture_close(struct executor *executor)
{
    struct trace trace = {0};
    assert_ok(vulkan_check_guards(executor, &trace), &trace);
    executor_destroy(executor);
}
