/* placeholder */
#include "tests/backend-vulkan/fixture.h"
int main(void){return 0;}
