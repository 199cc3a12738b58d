package quern.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * What an architecture file asks of a config: {@code alibi}, {@code not alibi}, {@code norms = 2}, several of these joined by
 * {@code and}. A key alone holds if it is true or a number other than zero; one that is absent or null does not hold. What stands
 * behind the {@code =} is a value, or another key.
 */
record Condition(List<Term> terms) {
    private static final Pattern TERM = Pattern.compile("(not )?(\\w+)(?: = ([\\w.]+))?");

    /** @param value what the key must be equal to; null where it must be true */
    record Term(boolean negated, String key, @Nullable String value) {
        private boolean holds(Fields config) {
            if (value == null) {
                return config.holds(key) != negated;
            }
            JsonNode other = config.find(value);
            return config.equal(key, other == null ? value : other.asText()) != negated;
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
            terms.add(new Term(term.group(1) != null, term.group(2), term.group(3)));
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
