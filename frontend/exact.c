/* Reductions as in fdlibm (Cody & Waite 1980), then Taylor series; long enough for the reduced range. */
#include "frontend/exact.h"
#include <math.h>

/* ln 2 and pi/2 in pieces whose products with small integers are exact. */
static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33, log2_e = 0x1.71547652b82fep0;
static const double half_pi[3] = {0x1.921fb544p0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69};
static const double two_by_pi = 0x1.45f306dc9c883p-1;

double exact_exp(double x)
{
    if (!(x < 710))
        return x >= 710 ? INFINITY : x;
    if (x < -746)
        return 0;
    double k = floor(x * log2_e + 0.5), r = (x - k * ln2_high) - k * ln2_low, sum = 1;
    for (int n = 18; n > 0; n--) /* |r| < 0.35 */
        sum = 1 + r / n * sum;
    return ldexp(sum, (int)k);
}

double exact_log(double x)
{
    int k;
    if (!(x > 0) || x == INFINITY)
        return x == 0 ? -INFINITY : x > 0 ? x : NAN;
    double m = frexp(x, &k);
    if (m < 0x1.6a09e667f3bcdp-1) { /* sqrt(1/2) */
        m *= 2;
        k--;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int n = 29; n > 0; n -= 2) /* 2 artanh(s), |s| < 0.172 */
        sum = sum * square + 1.0 / n;
    return k * ln2_high + (2 * s * sum + k * ln2_low);
}

/* x^n by squaring. */
static double whole_power(double x, unsigned n)
{
    double power = 1;
    for (; n > 0; n >>= 1) {
        power = n & 1 ? power * x : power;
        x *= x;
    }
    return power;
}

double exact_pow(double x, double y)
{
    if (y == floor(y) && fabs(y) <= 64)
        return y < 0 ? 1 / whole_power(x, (unsigned)-y) : whole_power(x, (unsigned)y);
    if (y == 0.5)
        return sqrt(x);
    if (y == -0.5)
        return 1 / sqrt(x);
    if (x < 0) {
        double size = exact_exp(y * exact_log(-x));
        return y != floor(y) ? NAN : y / 2 != floor(y / 2) ? -size : size;
    }
    return exact_exp(y * exact_log(x));
}

static double sine_near(double r)
{
    double square = r * r, sum = 1;
    for (int n = 20; n > 0; n -= 2) /* |r| < 0.79 */
        sum = 1 - square / (n * (n + 1)) * sum;
    return r * sum;
}

static double cosine_near(double r)
{
    double square = r * r, sum = 1;
    for (int n = 21; n > 0; n -= 2)
        sum = 1 - square / (n * (n + 1)) * sum;
    return sum;
}

/* sin(x + quarters * pi/2) */
static double turned_sine(double x, int quarters)
{
    if (!isfinite(x))
        return NAN;
    double k = floor(x * two_by_pi + 0.5);
    double r = ((x - k * half_pi[0]) - k * half_pi[1]) - k * half_pi[2];
    double turns = k + quarters;
    int quadrant = (int)(turns - 4 * floor(turns / 4));
    double y = quadrant & 1 ? cosine_near(r) : sine_near(r);
    return quadrant & 2 ? -y : y;
}

double exact_sin(double x)
{
    return turned_sine(x, 0);
}

double exact_cos(double x)
{
    return turned_sine(x, 1);
}

double exact_angle(double sine, double cosine)
{
    double best = -2, angle = 0;
    for (int eighth = -3; eighth <= 4; eighth++) {
        double candidate = eighth * half_pi[0] / 2;
        double along = exact_cos(candidate) * cosine + exact_sin(candidate) * sine;
        if (along > best) {
            best = along;
            angle = candidate;
        }
    }
    for (int step = 0; step < 6; step++) /* adds the sine of what is missing */
        angle += sine * exact_cos(angle) - cosine * exact_sin(angle);
    return sine < 0 && angle > 0 ? angle - 0x1.921fb54442d18p2 : angle; /* 2 pi */
}
