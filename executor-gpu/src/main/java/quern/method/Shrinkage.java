package quern.method;

import java.util.Locale;
import quern.tensor.Matrix;

/**
 * The Hessian of an expert that few tokens reached, shrunk toward that of all experts of its layer:
 *
 * <pre>
 * H' = w H_e / t_e + (1 - w) H_all / t_all,    w = t_e / (t_e + n)
 * </pre>
 *
 * with t tokens and n inputs. It is the mean of the posterior when tokens are normal with a covariance whose prior is the inverse
 * Wishart distribution about H_all / t_all that counts as much as n observations (L. R. Haff, Empirical Bayes estimation of the
 * multivariate normal covariance matrix, Annals of Statistics 8, 1980). With few tokens H_e alone is singular: it says of most
 * directions that errors in them cost nothing.
 */
public final class Shrinkage {
    private Shrinkage() {}

    /** Whether it has seen fewer tokens than it has inputs, and so has directions that none of them had. */
    public static boolean needed(Hessian hessian) {
        return hessian.tokens() < hessian.sum().rows();
    }

    /** @param all the sum over all experts of the layer, this one included */
    public static Hessian toward(Hessian all, Hessian own) {
        int n = own.sum().rows();
        double w = weight(own);
        double ofOwn = w; // of H_e / t_e, times t_e
        double ofAll = (1 - w) * own.tokens() / all.tokens();
        Matrix sum = Matrix.zeros(n, n);
        for (int i = 0; i < n * n; i++) {
            sum.values()[i] =
                    (float) (ofOwn * own.sum().values()[i] + ofAll * all.sum().values()[i]);
        }
        return new Hessian(sum, own.tokens());
    }

    /** For the report. */
    public static String note(Hessian own) {
        return String.format(
                Locale.ROOT,
                "%d calibration tokens reached this expert, fewer than its %d inputs; its Hessian counts %.2f, that of all "
                        + "experts of the layer the rest",
                own.tokens(),
                own.sum().rows(),
                weight(own));
    }

    private static double weight(Hessian own) {
        return (double) own.tokens() / (own.tokens() + own.sum().rows());
    }
}
