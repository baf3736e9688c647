/* Layers computed from the headers that qcore writes, with nothing of qcore in it: prints nothing and returns 0 where every integer is as
 * the header says. Compiled by test_vectors.py, with HEADER as the header of one operator at position 0. */
#include <stdio.h>

#include HEADER

static int64_t shifted(int64_t value, int by) { /* floor(value / 2^by) */
    int64_t half = (int64_t)1 << by;
    return value >= 0 ? value / half : -((-value + half - 1) / half);
}

/* Equation (13): a * b / 2^31, ties up. */
static int32_t high_mul(int32_t a, int32_t b) { return (int32_t)shifted((int64_t)a * b + ((int64_t)1 << 30), 31); }

/* Equation (14): x / 2^e, ties away from zero. */
static int32_t divide(int32_t x, int e) { return e == 0 ? x : (int32_t)shifted((int64_t)x + ((int64_t)1 << (e - 1)) - (x < 0), e); }

/* Equation (15). */
int32_t double_rounding(int32_t x, int32_t multiplier, int shift);
int32_t double_rounding(int32_t x, int32_t multiplier, int shift) {
    return divide(high_mul(x * ((int32_t)1 << (shift > 0 ? shift : 0)), multiplier), shift > 0 ? 0 : -shift);
}

/* Equation (20). */
int32_t float64_rounding(int32_t x, double scale);
int32_t float64_rounding(int32_t x, double scale) {
    return (int32_t)round(x * scale);
}

static int8_t clamped(int32_t value, int32_t low, int32_t high) { return (int8_t)(value < low ? low : value > high ? high : value); }

static int differs(const char *what, int index, long got, long expected) {
    if (got != expected) printf("%s %d: got %ld, expected %ld\n", what, index, got, expected);
    return got != expected;
}

#if defined(OP000_CONV_2D_CASES) || defined(OP000_DEPTHWISE_CONV_2D_CASES)
#if defined(OP000_CONV_2D_CASES)
#define V(name) op000_conv_2d_##name
#define P(name) OP000_CONV_2D_##name
#else
#define V(name) op000_depthwise_conv_2d_##name
#define P(name) OP000_DEPTHWISE_CONV_2D_##name
#endif
static int layer(void) {
    int wrong = 0, channels = V(input_shape)[3], outputs = V(output_shape)[3];
    for (int n = 0; n < P(CASES); n++)
        for (int i = 0; i < P(OUTPUT_SIZE); i++) {
            int o = i % outputs, x = i / outputs % V(output_shape)[2], y = i / outputs / V(output_shape)[2] % V(output_shape)[1];
            int b = i / outputs / V(output_shape)[2] / V(output_shape)[1], rows = V(filter_shape)[1], columns = V(filter_shape)[2];
            int32_t sum = V(bias)[o];
            for (int ky = 0; ky < rows; ky++)
                for (int kx = 0; kx < columns; kx++) {
                    int from_y = y * P(STRIDE_H) + ky * P(DILATION_H) - P(PAD_TOP), from_x = x * P(STRIDE_W) + kx * P(DILATION_W) - P(PAD_LEFT);
                    if (from_y < 0 || from_x < 0 || from_y >= V(input_shape)[1] || from_x >= V(input_shape)[2]) continue;
                    const int8_t *pixel = V(input)[n] + ((b * V(input_shape)[1] + from_y) * V(input_shape)[2] + from_x) * channels;
#if defined(OP000_CONV_2D_CASES)
                    for (int c = 0; c < channels; c++)
                        sum += (pixel[c] - P(INPUT_ZERO_POINT)) * V(filter)[((o * rows + ky) * columns + kx) * channels + c];
#else
                    sum += (pixel[o / P(DEPTH_MULTIPLIER)] - P(INPUT_ZERO_POINT)) * V(filter)[(ky * columns + kx) * outputs + o];
#endif
                }
            wrong += differs("accumulator", i, sum, V(accumulator)[n][i]);
            int32_t code = double_rounding(sum, V(multiplier)[o], V(shift)[o]) + P(OUTPUT_ZERO_POINT);
            wrong += differs("output", i, clamped(code, P(ACTIVATION_MIN), P(ACTIVATION_MAX)), V(output)[n][i]);
        }
    return wrong;
}
#elif defined(OP000_FULLY_CONNECTED_CASES)
#define V(name) op000_fully_connected_##name
#define P(name) OP000_FULLY_CONNECTED_##name
static int layer(void) {
    int wrong = 0, units = V(filter_shape)[0];
    for (int n = 0; n < P(CASES); n++)
        for (int i = 0; i < P(ROWS) * units; i++) {
            int unit = i % units, row = i / units;
            int32_t sum = V(bias)[unit];
            for (int k = 0; k < P(DEPTH); k++)
                sum += (V(input)[n][row * P(DEPTH) + k] - P(INPUT_ZERO_POINT)) * (V(filter)[unit * P(DEPTH) + k] - P(FILTER_ZERO_POINT));
            wrong += differs("accumulator", i, sum, V(accumulator)[n][i]);
            int32_t code = float64_rounding(sum, V(requantize_scale)[unit]) + P(OUTPUT_ZERO_POINT);
            wrong += differs("output", i, clamped(code, P(ACTIVATION_MIN), P(ACTIVATION_MAX)), V(output)[n][i]);
        }
    return wrong;
}
#elif defined(OP000_ADD_CASES)
#define V(name) op000_add_##name
#define P(name) OP000_ADD_##name
static int32_t rescaled(int code, int zero_point, int left_shift, int32_t multiplier, int shift) {
    return double_rounding((code - zero_point) * ((int32_t)1 << left_shift), multiplier, shift);
}
static int layer(void) {
    int wrong = 0;
    for (int n = 0; n < P(CASES); n++)
        for (int i = 0; i < P(OUTPUT_SIZE); i++) {
            int32_t one = rescaled(V(input1)[n][i], P(INPUT1_ZERO_POINT), P(INPUT1_LEFT_SHIFT), P(INPUT1_MULTIPLIER), P(INPUT1_SHIFT));
            int32_t two = rescaled(V(input2)[n][i], P(INPUT2_ZERO_POINT), P(INPUT2_LEFT_SHIFT), P(INPUT2_MULTIPLIER), P(INPUT2_SHIFT));
            wrong += differs("rescaled1", i, one, V(rescaled1)[(uint8_t)V(input1)[n][i]]);
            wrong += differs("accumulator", i, one + two, V(accumulator)[n][i]);
            int32_t code = double_rounding(one + two, P(MULTIPLIER), P(SHIFT)) + P(OUTPUT_ZERO_POINT);
            wrong += differs("output", i, clamped(code, P(ACTIVATION_MIN), P(ACTIVATION_MAX)), V(output)[n][i]);
        }
    return wrong;
}
#endif

int main(void) { return layer() != 0; }
