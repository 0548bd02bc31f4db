/* Executors for the tests of this folder: a software driver by its ICD file, with the validation layer
 * listening. */
#ifndef TESTS_BACKEND_VULKAN_FIXTURE_H
#define TESTS_BACKEND_VULKAN_FIXTURE_H

#include "backend-vulkan/vulkan.h"
#include "tests/support/test.h"

enum fixture_driver { FIXTURE_LAVAPIPE, FIXTURE_SWIFTSHADER };

/* Points the loader to the driver; skips the test when it is not installed. ESPALIER_TEST_ICD names another
 * ICD file in place of lavapipe's, e.g. a hardware driver's. */
void fixture_choose_driver(enum fixture_driver driver);
bool fixture_has_validation(void); /* is the Khronos layer installed? */
/* Chooses the driver and opens its device with guard words, and validation unless the layer is missing. */
struct executor *fixture_open(enum fixture_driver driver, struct vulkan_options options);
/* Checks the guards, then closes. */
void fixture_close(struct executor *executor);

#endif
