/**
 * Which method and format fit a model, a GPU and a server, and why. Three kinds of facts meet here: bytes, which the plan of each
 * recipe knows from headers; what programs read, which the formats say ({@code conf/formats}); and GPUs, servers and measured
 * losses, from {@code conf/recommend.yaml}. Nothing is claimed that does not stand in one of them.
 */
@NullMarked
package quern.recommend;

import org.jspecify.annotations.NullMarked;
