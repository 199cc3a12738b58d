package quern.device.cpu;

import quern.device.ForwardKernels.Activation;

/** Activation functions, by their definitions. */
final class Activations {
    private Activations() {}

    static double of(Activation activation, double x) {
        switch (activation) {
            case SILU:
                return x / (1 + StrictMath.exp(-x));
            case GELU_ERF:
                return x * 0.5 * (1 + erf(x / Math.sqrt(2)));
            case GELU_TANH:
                return x * 0.5 * (1 + StrictMath.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
            case RELU:
                return Math.max(x, 0);
        }
        throw new IllegalArgumentException("No activation " + activation);
    }

    /**
     * The error function to about 1e-15: its series (Abramowitz and Stegun 7.1.6) below 3, the continued fraction of its
     * complement (7.1.14) above.
     */
    static double erf(double x) {
        double z = Math.abs(x);
        double result;
        if (z > 6) {
            result = 1;
        } else if (z < 3) {
            double term = z;
            double sum = z;
            for (int n = 1; n < 100 && term > 1e-17 * sum; n++) {
                term *= 2 * z * z / (2 * n + 1);
                sum += term;
            }
            result = 2 / Math.sqrt(Math.PI) * StrictMath.exp(-z * z) * sum;
        } else {
            double fraction = z;
            for (int n = 60; n > 0; n--) {
                fraction = z + n / 2.0 / fraction;
            }
            result = 1 - StrictMath.exp(-z * z) / (Math.sqrt(Math.PI) * fraction);
        }
        return x < 0 ? -result : result;
    }
}
