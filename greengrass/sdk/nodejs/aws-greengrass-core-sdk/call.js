/** `operation(done)` with the user's callback, or as a promise where there is none. */
exports.run = (callback, operation) => {
  if (typeof callback === 'function') {
    operation((error, data) => (error ? callback(error, null) : callback(null, data)));
    return undefined;
  }
  return new Promise((resolve, reject) => {
    operation((error, data) => (error ? reject(error) : resolve(data)));
  });
};

/** Throws where a required parameter is missing. */
exports.required = (params, name) => {
  const value = params ? params[name] : undefined;
  if (value === undefined) throw new Error(`"${name}" is a required parameter`);
  return value;
};

/** What `operation` throws goes where its errors go. */
exports.guarded = (operation) => (done) => {
  try {
    operation(done);
  } catch (error) {
    done(error);
  }
};

exports.encodeContext = (context) => Buffer.from(JSON.stringify(context)).toString('base64');
