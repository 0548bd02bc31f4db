/* What products share: y [rows, columns], and what is added to it as it is stored (ir/schedule.h). */
#ifndef SHADERS_PRODUCT_GLSL
#define SHADERS_PRODUCT_GLSL

layout(constant_id = PRODUCT_TAIL) const uint TAIL = 0u;
WRITES(2, float, y);
READS(3, float, bias);   /* [columns] */
READS(4, float, addend); /* [rows, columns], lies as y does */

/* Element (m, n) of y, of which `sum` is the product. */
void store(uint m, uint n, float sum)
{
    uint at = m * y_row + n;
    float value = gm_flush(sum);
    if ((TAIL & PRODUCT_BIAS) != 0u)
        value = gm_flush(value + bias[at3 + n]);
    if ((TAIL & PRODUCT_ADDEND) != 0u)
        value = gm_flush(value + addend[at4 + at]);
    y[at2 + at] = value;
}

#endif
