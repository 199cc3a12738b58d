package quern.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What a key of a config follows from: {@code 4 * hidden_size}, {@code hidden_size ^ 0.5}, {@code 1 if multi_query}. A product of
 * numbers and keys, each to a power, and perhaps a {@link Condition} under which it counts.
 */
record Formula(List<Factor> factors, @Nullable Condition condition) {
    private static final Pattern FACTOR = Pattern.compile("([\\w.]+)(?: \\^ (-?[\\d.]+))?");
    private static final Pattern NUMBER = Pattern.compile("[\\d.]+");

    private record Factor(String of, double power) {
        double value(Fields config) {
            double base = NUMBER.matcher(of).matches() ? Double.parseDouble(of) : config.positive(of);
            return Math.pow(base, power);
        }
    }

    Formula {
        factors = List.copyOf(factors);
    }

    static Formula parse(String text) {
        int at = text.indexOf(" if ");
        Condition condition = at < 0 ? null : Condition.parse(text.substring(at + 4));
        List<Factor> factors = new ArrayList<>();
        for (String part : (at < 0 ? text : text.substring(0, at)).split("\\*")) {
            Matcher factor = FACTOR.matcher(part.strip());
            if (!factor.matches()) {
                throw new IllegalArgumentException("'" + part.strip() + "' is not a number, a key or a power of these");
            }
            factors.add(new Factor(factor.group(1), factor.group(2) == null ? 1 : Double.parseDouble(factor.group(2))));
        }
        return new Formula(factors, condition);
    }

    /** Null where its condition does not hold. */
    @Nullable
    JsonNode value(Fields config) {
        if (condition != null && !condition.holds(config)) {
            return null;
        }
        return DoubleNode.valueOf(
                factors.stream().mapToDouble(factor -> factor.value(config)).reduce(1, (a, b) -> a * b));
    }
}
