package quern.run;

import quern.method.Statistics;
import quern.plan.Plan;

/** A site of a pass, and what all of its tokens say of its input. */
public record Gathered(Plan.SitePlan site, Statistics statistics) {}
