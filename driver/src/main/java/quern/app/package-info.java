/**
 * What the commands do: source, tokens, plan, run, evaluation, publication, report, in this order and once each. The steps
 * themselves live elsewhere; this package knows their sequence and what a person is told.
 */
@NullMarked
package quern.app;

import org.jspecify.annotations.NullMarked;
