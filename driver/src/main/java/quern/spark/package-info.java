/**
 * The plan runner on Spark, and what it takes: the one job shape (parts, a shuffle of Hessian tiles, sites), Kryo
 * registration, GPU profiles. No algorithm: tasks call {@link quern.run.pass.SiteTasks} and their like.
 */
@NullMarked
package quern.spark;

import org.jspecify.annotations.NullMarked;
