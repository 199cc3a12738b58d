package quern.device.cpu;

/** Rotary position embedding of rows on the heap. */
final class Rope {
    private Rope() {}

    /**
     * Turns the pairs of one row in place.
     *
     * @param x the row's heads lie from {@code at}, {@code heads} of {@code headDim} columns
     * @param cos the position's angles, {@code half} from {@code angle}
     * @param half pairs of a head
     */
    static void turn(
            float[] x,
            int at,
            int heads,
            int headDim,
            float[] cos,
            float[] sin,
            int angle,
            int half,
            boolean interleaved) {
        for (int h = 0; h < heads; h++) {
            if (interleaved) {
                interleaved(x, at + h * headDim, cos, sin, angle, half);
            } else {
                halves(x, at + h * headDim, cos, sin, angle, half);
            }
        }
    }

    private static void halves(float[] x, int at, float[] cos, float[] sin, int angle, int half) {
        for (int i = 0; i < half; i++) {
            float a = x[at + i];
            float b = x[at + half + i];
            x[at + i] = a * cos[angle + i] - b * sin[angle + i];
            x[at + half + i] = b * cos[angle + i] + a * sin[angle + i];
        }
    }

    private static void interleaved(float[] x, int at, float[] cos, float[] sin, int angle, int half) {
        for (int i = 0; i < half; i++) {
            float a = x[at + 2 * i];
            float b = x[at + 2 * i + 1];
            x[at + 2 * i] = a * cos[angle + i] - b * sin[angle + i];
            x[at + 2 * i + 1] = b * cos[angle + i] + a * sin[angle + i];
        }
    }
}
