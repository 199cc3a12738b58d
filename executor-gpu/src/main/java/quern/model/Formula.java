package quern.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What a key of a config follows from: {@code 4 * hidden_size}, {@code hidden_size ^ 0.5}, {@code nope_dim + rope_dim},
 * {@code 1 if multi_query}. A sum of products of numbers and keys, each to a power, and perhaps a {@link Condition} under which it
 * counts.
 */
record Formula(List<Product> terms, @Nullable Condition condition) {
    private static final Pattern FACTOR = Pattern.compile("([\\w.]+)(?: \\^ (-?[\\d.]+))?");
    private static final Pattern NUMBER = Pattern.compile("[\\d.]+");

    private record Factor(String of, double power) {
        double value(Fields config) {
            double base = NUMBER.matcher(of).matches() ? Double.parseDouble(of) : config.positive(of);
            return Math.pow(base, power);
        }
    }

    private record Product(List<Factor> factors) {
        double value(Fields config) {
            return factors.stream().mapToDouble(factor -> factor.value(config)).reduce(1, (a, b) -> a * b);
        }
    }

    Formula {
        terms = List.copyOf(terms);
    }

    static Formula parse(String text) {
        int at = text.indexOf(" if ");
        Condition condition = at < 0 ? null : Condition.parse(text.substring(at + 4));
        List<Product> terms = new ArrayList<>();
        for (String term : (at < 0 ? text : text.substring(0, at)).split("\\+")) {
            List<Factor> factors = new ArrayList<>();
            for (String part : term.split("\\*")) {
                Matcher factor = FACTOR.matcher(part.strip());
                if (!factor.matches()) {
                    throw new IllegalArgumentException(
                            "'" + part.strip() + "' is not a number, a key or a power of these");
                }
                factors.add(
                        new Factor(factor.group(1), factor.group(2) == null ? 1 : Double.parseDouble(factor.group(2))));
            }
            terms.add(new Product(List.copyOf(factors)));
        }
        return new Formula(terms, condition);
    }

    /** Null where its condition does not hold. */
    @Nullable
    JsonNode value(Fields config) {
        return condition != null && !condition.holds(config) ? null : DoubleNode.valueOf(number(config));
    }

    /** Whatever its condition says. */
    double number(Fields config) {
        return terms.stream().mapToDouble(term -> term.value(config)).sum();
    }
}
