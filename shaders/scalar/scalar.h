/* The scalar mathematics that C and GLSL share; bits.h says the rules. */
#ifndef SHADERS_SCALAR_SCALAR_H
#define SHADERS_SCALAR_SCALAR_H

#include "shaders/scalar/activation.h"
#include "shaders/scalar/bits.h"
#include "shaders/scalar/convert.h"
#include "shaders/scalar/explog.h"
#include "shaders/scalar/pair.h"
#include "shaders/scalar/random.h"
#include "shaders/scalar/root.h"
#include "shaders/scalar/trig.h"

#endif
