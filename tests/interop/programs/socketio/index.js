import { createServer } from "node:http";
import express from "express";
import { Server } from "socket.io";

const app = express();
const server = createServer(app);
const io = new Server(server);

app.get("/", (req, res) => {
  res.send("<h1>Hello world</h1>");
});

io.on("connection", (socket) => {
  socket.on("chat message", (msg, callback) => {
    io.emit("chat message", msg);
    callback(msg);
  });
});

server.listen(3000, () => {
  console.log("server running at http://localhost:3000");
});
