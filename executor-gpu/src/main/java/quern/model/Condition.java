package quern.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;

/**
 * What an architecture file asks of a config: {@code alibi}, {@code not alibi}, {@code norms = 2}, several of these joined by
 * {@code and}. A key alone holds if it is true or a number other than zero; one that is absent or null does not hold. What stands
 * behind the {@code =} is a value, or another key.
 *
 * <p>In the program of a layer there is a key {@code layer}, its number from 0: {@code layer in dense_layers}, a list;
 * {@code layer below first_sparse}; {@code layer each sparse_step}, every nth, the first of them n - 1.
 */
record Condition(List<Term> terms) {
    private static final Pattern TERM = Pattern.compile("(not )?(\\w+)(?: (=|in|below|each) ([\\w.]+))?");

    /** @param operator between key and value; null where the key alone must hold */
    record Term(boolean negated, String key, @Nullable String operator, String value) {
        private boolean holds(Fields config) {
            return unnegated(config) != negated;
        }

        private boolean unnegated(Fields config) {
            if (operator == null) {
                return config.holds(key);
            }
            JsonNode left = config.find(key);
            JsonNode right = config.find(value);
            switch (operator) {
                case "=":
                    return config.equal(key, right == null ? value : right.asText());
                case "in":
                    return left != null
                            && right != null
                            && StreamSupport.stream(right.spliterator(), false)
                                    .anyMatch(each -> each.asInt() == left.asInt());
                case "below":
                    return left != null && right != null && left.asInt() < right.asInt();
                default:
                    return left != null
                            && right != null
                            && (left.asInt() + 1) % config.integer(value, 1, Integer.MAX_VALUE) == 0;
            }
        }
    }

    Condition {
        terms = List.copyOf(terms);
    }

    static Condition parse(String text) {
        List<Term> terms = new ArrayList<>();
        for (String part : text.strip().split(" and ")) {
            Matcher term = TERM.matcher(part.strip());
            if (!term.matches()) {
                throw new IllegalArgumentException(
                        "'" + part.strip() + "' does not read 'key', 'not key' or 'key = value'");
            }
            String value = term.group(4);
            terms.add(new Term(term.group(1) != null, term.group(2), term.group(3), value == null ? "" : value));
        }
        return new Condition(terms);
    }

    /** A rule of an architecture file: true, false, or a condition; none is false. */
    static boolean holds(@Nullable JsonNode rule, Fields config) {
        if (rule == null) {
            return false;
        }
        return rule.isBoolean() ? rule.asBoolean() : parse(rule.asText()).holds(config);
    }

    boolean holds(Fields config) {
        return terms.stream().allMatch(term -> term.holds(config));
    }

    /** How its keys stand in a config, for a sentence. */
    String shown(Fields config) {
        return terms.stream().map(term -> config.shown(term.key())).collect(Collectors.joining(" and "));
    }
}
