// `node -r loopback.cjs SERVER`: a server that would listen on every address listens on the loopback alone.
const { Server } = require("node:net");

const { listen } = Server.prototype;
Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port, "127.0.0.1", ...rest);
};
