/**
 * What a run leaves for people to read: the facts ({@link quern.report.Report}) as {@code report.json}, the same facts as
 * {@code report.html}, and a few lines for the terminal ({@link quern.report.Summary}). Facts are measured elsewhere; this
 * package only shows them, and shows all of them.
 *
 * <p>{@code report.html} is one file: style, script, facts and the drawing library (Apache ECharts, taken out of its webjar
 * when this module is built) are inside, a content policy forbids it any network. The page is drawn in the browser from the
 * facts, which stand in it as JSON with every {@code <} written as an escape, so that no name can leave its string.
 */
@NullMarked
package quern.report;

import org.jspecify.annotations.NullMarked;
