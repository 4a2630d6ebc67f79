/**
 * The only place that adds to the builder's configuration: what is built is the same in every folder.
 *
 * The builder's own ids of modules are hashes in which the folder's path takes part.
 */
module.exports = { optimization: { moduleIds: 'natural' } };
