/* Elementary functions in double, from + - * / and square roots alone: what is folded at import reaches
 * hashed bytes (rotary frequencies, computed weights), and libm's last bit differs between versions. Relative
 * errors are a few 2^-52, so a result rounded to single precision is nearly always the right one. */
#ifndef FRONTEND_EXACT_H
#define FRONTEND_EXACT_H

double exact_exp(double x);
double exact_log(double x); /* a negative x gives NaN, 0 minus infinity */
double exact_pow(double x, double y);
double exact_sin(double x); /* |x| < 10^6 as said above; beyond, the error grows with x */
double exact_cos(double x);
double exact_angle(double sine,
                   double cosine); /* of the point (cosine, sine) on the unit circle, in (-pi, pi] */

#endif
