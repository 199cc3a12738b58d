package quern.run.pass;

import java.util.List;
import quern.method.Statistics;
import quern.plan.Plan;

/**
 * A site, and what all tokens say of its input.
 *
 * @param tokens that calibrate it
 * @param further how many of these were drawn on for it; -1 where none were
 * @param notes for the report, of each of its linears
 */
public record Gathered(Plan.SitePlan site, Statistics statistics, long tokens, long further, List<String> notes) {
    public Gathered {
        notes = List.copyOf(notes);
    }

    /** In the ordinary case. */
    public Gathered(Plan.SitePlan site, Statistics statistics) {
        this(site, statistics, statistics.tokens(), -1, List.of());
    }
}
