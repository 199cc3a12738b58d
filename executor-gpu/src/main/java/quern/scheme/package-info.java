/**
 * What codes may mean and how they are to be chosen: {@link quern.scheme.Scheme}, {@link quern.scheme.Recipe}, and the
 * neutral value between method and format, {@link quern.scheme.QuantizedLinear}.
 */
@NullMarked
package quern.scheme;

import org.jspecify.annotations.NullMarked;
